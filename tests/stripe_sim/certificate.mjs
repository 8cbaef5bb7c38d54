// A certificate for loopback, made on the fly: [certificate, key] as files in `folder`, good for a day.
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export function makeCertificate(folder, name = 'loopback', names = 'IP:127.0.0.1,DNS:localhost') {
  const [certificate, key] = ['pem', 'key'].map((end) => path.join(folder, `${name}.${end}`));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-noenc', '-days', '1', '-subj', `/CN=${name}`, '-addext',
    `subjectAltName=${names}`, '-out', certificate, '-keyout', key],
  { stdio: ['ignore', 'ignore', 'pipe'] });
  return [certificate, key];
}
