// Encrypts a text with AES-256, chaining blocks.
//
// In JavaScript itself, by Debian's CryptoJS, as vSwarm's function does it: it is not OpenSSL that is measured.
'use strict';

const { readFileSync } = require('fs');
const { runInThisContext } = require('vm');

const { GREETER, run } = require('./serve');

// A script for browsers: it leaves a global variable.
runInThisContext(readFileSync('/usr/share/javascript/cryptojs/rollups/aes.js', 'utf8'));

// The digits themselves are key and initial block here, as vSwarm's function has it.
const KEY = '6368616e676520746869732070617373';
const INITIAL = '0000000000000000';
const DEFAULT_PLAINTEXT = 'defaultplaintext';

function encrypted(plaintext) {
  const { AES, enc } = CryptoJS;
  const options = { iv: enc.Utf8.parse(INITIAL) };
  return AES.encrypt(plaintext, enc.Utf8.parse(KEY), options).ciphertext.toString();
}

run((name) => {
  const plaintext = name === '' || name === 'world' ? DEFAULT_PLAINTEXT : name;
  return `fn: AES | plaintext: ${plaintext} ciphertext: ${encrypted(plaintext)} | runtime: NodeJS`;
}, GREETER, '/aes.Aes/ShowEncryption');
