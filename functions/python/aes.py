"""Encrypts a text with AES-256 in counter mode, in Python itself."""

import pyaes

import serve

# The digits themselves are the key here, which makes it one of 256 bits; vSwarm's function has it so.
KEY = b"6368616e676520746869732070617373"
DEFAULT_PLAINTEXT = "defaultplaintext"


def encrypted(plaintext):
    # The counter begins at 0, so that a text has one ciphertext.
    return pyaes.AESModeOfOperationCTR(KEY, counter=pyaes.Counter(initial_value=0)).encrypt(plaintext)


def answer(plaintext):
    if plaintext in ("", "world"):
        plaintext = DEFAULT_PLAINTEXT
    return f"fn: AES | plaintext: {plaintext} | ciphertext: {encrypted(plaintext)} | runtime: Python"


if __name__ == "__main__":
    serve.run(answer, serve.GREETER, ("aes.Aes", "ShowEncryption"))
