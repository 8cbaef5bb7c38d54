// Starts the simulator and talks to it: `ask` sends one control command (control.c) and gives its
// answer. It ends when this process does, because it reads commands from a pipe.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));

export async function startSimulator(program, { seconds = 600, tls = [] } = {}) {
  const words = ['--stdin', '--seconds', String(seconds), '--schemas', HERE];
  if (tls.length > 0) words.push('--tls', ...tls);
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => { child.on('close', (status) => resolve(status)); });
  const lines = readline.createInterface({ input: child.stdout });
  const waiting = [];
  const ports = {};
  const listening = new Promise((resolve, reject) => {
    ended.then((status) => {
      const gone = new Error(`the simulator ended: ${status}`);
      reject(gone);
      for (const one of waiting.splice(0)) one.reject(gone);
    });
    lines.on('line', (line) => {
      const port = /^(port|tls-port) (\d+)$/.exec(line);
      if (port !== null) {
        ports[port[1]] = Number(port[2]);
        if (ports.port && (tls.length === 0 || ports['tls-port'])) resolve();
      } else {
        waiting.shift().resolve(JSON.parse(line));
      }
    });
  });
  await listening;
  const askRaw = (command) => new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    child.stdin.write(`${JSON.stringify(command)}\n`);
  });
  return {
    port: ports.port,
    tlsPort: ports['tls-port'],
    base: `http://127.0.0.1:${ports.port}`,
    async ask(command) {
      const answer = await askRaw(command);
      if (!answer.ok) throw new Error(`${JSON.stringify(command)}: ${answer.error}`);
      return answer;
    },
    async stop() {
      child.stdin.end();
      return ended;
    },
  };
}
