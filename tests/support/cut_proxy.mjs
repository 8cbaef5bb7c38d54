// A proxy between the program and PostgreSQL that cuts the connection at a message boundary.
//
// Messages of both directions are counted in the order in which they pass; at the one with the
// number `cutAt` (from 1) neither it nor anything after it passes: both sides see the other hang
// up, and whatever was sent before is delivered. What connects later passes, or is hung up on
// (`isGone`), as if the server had gone.
import net from 'node:net';

// Calls back for every whole message; what the client says first has no type.
function splitter(isClient, onMessage) {
  let rest = Buffer.alloc(0);
  let isFirst = isClient;
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const head = isFirst ? 0 : 1;
      if (rest.length < head + 4) return;
      const size = head + rest.readInt32BE(head);
      if (rest.length < size) return;
      onMessage(rest.subarray(0, size), isFirst ? 'startup' : String.fromCharCode(rest[0]));
      rest = rest.subarray(size);
      isFirst = false;
    }
  };
}

export async function startProxy(host, port) {
  const state = { cutAt: 0, isGone: false, count: 0, hasCut: false, last: '' };
  const server = net.createServer((client) => {
    if (state.hasCut && state.isGone) {
      client.destroy();
      return;
    }
    const upstream = net.connect(port, host);
    let isOpen = true;
    const hangUp = () => {
      isOpen = false;
      client.end();
      upstream.end();
    };
    const pass = (to, direction) => (message, type) => {
      if (!isOpen) return;
      if (!state.hasCut) {
        state.count += 1;
        if (state.count === state.cutAt) {
          state.hasCut = true;
          state.last = `${direction} ${type}`;
          hangUp();
          return;
        }
      }
      to.write(message);
    };
    client.on('data', splitter(true, pass(upstream, 'to the server')));
    upstream.on('data', splitter(false, pass(client, 'to the program')));
    [client, upstream].forEach((socket) => {
      socket.setNoDelay(true);
      socket.on('error', hangUp);
      socket.on('close', hangUp);
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    port: server.address().port,
    // From now on: cut at that message, 0 for never. Returns how many have passed since.
    arm(cutAt, isGone) {
      Object.assign(state, { cutAt, isGone, count: 0, hasCut: false, last: '' });
    },
    state,
    close: () => server.close(),
  };
}
