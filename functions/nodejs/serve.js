// Answers gRPC requests whose message is one string with replies that are one string.
//
// gRPC is HTTP/2 with a frame of five bytes around each message and the status in the trailers (the protocol's
// PROTOCOL-HTTP2.md); Debian packages no library for it, and Node has HTTP/2.
'use strict';

const http2 = require('http2');

const GREETER = '/helloworld.Greeter/SayHello';
const TAG = (1 << 3) | 2;
const LONGEST = 4 << 20;

// The string in field 1: all other fields are skipped, and missing is empty.
function decoded(message) {
  let place = 0;
  let text = '';
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = message[place++];
      if (byte === undefined) throw new Error('the message ends early');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a number is too long');
  };
  while (place < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 1) place += 8;
    else if ((tag & 7) === 5) place += 4;
    else if ((tag & 7) === 2) {
      const length = varint();
      if (place + length > message.length) throw new Error('the message ends early');
      if (tag === TAG) text = message.toString('utf8', place, place + length);
      place += length;
    } else throw new Error('a field has an unknown type');
  }
  return text;
}

// The frame of a message with a string in field 1.
function encoded(text) {
  const bytes = Buffer.from(text, 'utf8');
  const head = [TAG];
  for (let length = bytes.length; ; length >>>= 7) {
    if (length < 0x80) {
      head.push(length);
      break;
    }
    head.push((length & 0x7f) | 0x80);
  }
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(head.length + bytes.length, 1);
  return Buffer.concat([frame, Buffer.from(head), bytes]);
}

function end(stream, status, message) {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status, 'grpc-message': message }, { endStream: true });
}

function reply(stream, answer, body) {
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
    end(stream, '13', 'this is no uncompressed message');
    return;
  }
  let frame;
  try {
    frame = encoded(answer(decoded(body.subarray(5))));
  } catch (error) {
    end(stream, '13', encodeURIComponent(error.message));
    return;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(frame);
}

// Serves until the container is told to end.
function run(answer, ...methods) {
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const pieces = [];
    let length = 0;
    stream.on('error', () => {});
    stream.on('data', (piece) => {
      length += piece.length;
      if (length > LONGEST) stream.close(http2.constants.NGHTTP2_CANCEL);
      else pieces.push(piece);
    });
    stream.on('end', () => {
      if (methods.includes(headers[':path'])) reply(stream, answer, Buffer.concat(pieces));
      else end(stream, '12', 'there is no such method');
    });
  });
  process.on('SIGTERM', () => process.exit(0));
  server.listen(Number(process.env.GRPC_PORT || 50000), '0.0.0.0');
}

module.exports = { GREETER, run };
