// Command aes encrypts a text with AES-128 in counter mode.
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"log"

	"functions/serve"
)

const (
	key              = "6368616e676520746869732070617373"
	defaultPlaintext = "defaultplaintext"
)

func encrypted(plaintext []byte) []byte {
	bytes, err := hex.DecodeString(key)
	if err != nil {
		log.Fatal(err)
	}
	block, err := aes.NewCipher(bytes)
	if err != nil {
		log.Fatal(err)
	}
	// The counter begins at 0, so that a text has one ciphertext.
	ciphertext := make([]byte, len(plaintext))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(ciphertext, plaintext)
	return ciphertext
}

func answer(plaintext string) string {
	if plaintext == "" || plaintext == "world" {
		plaintext = defaultPlaintext
	}
	ciphertext := encrypted([]byte(plaintext))
	return fmt.Sprintf("fn: AES | plaintext: %s | ciphertext: %x | runtime: golang", plaintext, ciphertext)
}

func main() {
	serve.Run(answer, serve.Greeter, serve.Method{Service: "aes.Aes", Name: "ShowEncryption"})
}
