// What Go's bbolt thinks of a database that vsbuild wrote, and how long it takes to write one itself.
//
//	bolt check FILE              Tx.Check, then every pair as text
//	bolt transact FILE COUNT     transactions that add, change and delete, with Tx.Check and a comparison after each
//	bolt insert FILE COUNT       so many blobs as containerd keeps them, in one transaction; prints nanoseconds
package main

import (
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

func main() {
	var err error
	switch os.Args[1] {
	case "check":
		err = check(os.Args[2])
	case "transact":
		err = transact(os.Args[2], number(os.Args[3]))
	case "insert":
		err = insert(os.Args[2], number(os.Args[3]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return value
}

func faults(tx *bolt.Tx) error {
	var all []string
	for fault := range tx.Check() {
		all = append(all, fault.Error())
	}
	if all != nil {
		return fmt.Errorf("%s", strings.Join(all, "\n"))
	}
	return nil
}

func check(file string) error {
	db, err := bolt.Open(file, 0600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		if err := faults(tx); err != nil {
			return err
		}
		for _, line := range pairs(tx) {
			fmt.Println(line)
		}
		return nil
	})
}

// pairs are lines `path value`, the path of hexadecimal keys; a bucket ends in a slash and has its sequence as value.
func pairs(tx *bolt.Tx) []string {
	var lines []string
	var walk func(path string, bucket *bolt.Bucket)
	walk = func(path string, bucket *bolt.Bucket) {
		lines = append(lines, fmt.Sprintf("%s %d", path, bucket.Sequence()))
		bucket.ForEach(func(key, value []byte) error {
			inner := path + hex.EncodeToString(key)
			if child := bucket.Bucket(key); child != nil {
				walk(inner+"/", child)
			} else {
				lines = append(lines, inner+" "+hex.EncodeToString(value))
			}
			return nil
		})
	}
	tx.ForEach(func(key []byte, bucket *bolt.Bucket) error {
		walk(hex.EncodeToString(key)+"/", bucket)
		return nil
	})
	return lines
}

// transact changes the values and buckets of every bucket at random, and keeps by itself what must then be there.
func transact(file string, count int) error {
	db, err := bolt.Open(file, 0600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	model := map[string]string{}
	db.View(func(tx *bolt.Tx) error {
		for _, line := range pairs(tx) {
			path, value, _ := strings.Cut(line, " ")
			model[path] = value
		}
		return nil
	})
	chance := rand.New(rand.NewSource(1))
	for round := 0; round < count; round++ {
		err := db.Update(func(tx *bolt.Tx) error {
			return tx.ForEach(func(key []byte, bucket *bolt.Bucket) error {
				return change(hex.EncodeToString(key)+"/", bucket, model, chance)
			})
		})
		if err != nil {
			return err
		}
		if err := db.View(func(tx *bolt.Tx) error { return same(tx, model) }); err != nil {
			return fmt.Errorf("after transaction %d: %w", round+1, err)
		}
	}
	return nil
}

func change(path string, bucket *bolt.Bucket, model map[string]string, chance *rand.Rand) error {
	var values, buckets [][]byte
	bucket.ForEach(func(key, _ []byte) error {
		key = append([]byte{}, key...)
		if bucket.Bucket(key) != nil {
			buckets = append(buckets, key)
		} else {
			values = append(values, key)
		}
		return nil
	})
	for _, key := range values {
		if chance.Intn(8) == 0 {
			delete(model, path+hex.EncodeToString(key))
			if err := bucket.Delete(key); err != nil {
				return err
			}
		}
	}
	for added := 0; added < 3; added++ {
		key, value := make([]byte, 1+chance.Intn(60)), make([]byte, chance.Intn(700))
		chance.Read(key)
		chance.Read(value)
		if bucket.Bucket(key) != nil {
			continue
		}
		model[path+hex.EncodeToString(key)] = hex.EncodeToString(value)
		if err := bucket.Put(key, value); err != nil {
			return err
		}
	}
	sequence, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	model[path] = strconv.FormatUint(sequence, 10)
	for _, key := range buckets {
		inner := path + hex.EncodeToString(key) + "/"
		if chance.Intn(10) == 0 {
			for entry := range model {
				if strings.HasPrefix(entry, inner) {
					delete(model, entry)
				}
			}
			if err := bucket.DeleteBucket(key); err != nil {
				return err
			}
		} else if chance.Intn(3) == 0 {
			if err := change(inner, bucket.Bucket(key), model, chance); err != nil {
				return err
			}
		}
	}
	return nil
}

func same(tx *bolt.Tx, model map[string]string) error {
	if err := faults(tx); err != nil {
		return err
	}
	var expected []string
	for path, value := range model {
		expected = append(expected, path+" "+value)
	}
	found := pairs(tx)
	sort.Strings(expected)
	sort.Strings(found)
	if strings.Join(expected, "\n") != strings.Join(found, "\n") {
		return fmt.Errorf("%d pairs where %d are expected, or others", len(found), len(expected))
	}
	return nil
}

func insert(file string, count int) error {
	start := time.Now()
	db, err := bolt.Open(file, 0600, &bolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("v1"))
		for _, name := range []string{"default", "content", "blob"} {
			if err == nil {
				bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
			}
		}
		for index := 0; err == nil && index < count; index++ {
			err = blob(bucket, index)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	fmt.Println(time.Since(start).Nanoseconds())
	return nil
}

func blob(bucket *bolt.Bucket, index int) error {
	digest := []byte(fmt.Sprintf("sha256:%064x", uint64(index)*0x9e3779b97f4a7c15))
	blob, err := bucket.CreateBucket(digest)
	if err != nil {
		return err
	}
	stamp := []byte{1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255}
	for key, value := range map[string][]byte{"createdat": stamp, "updatedat": stamp, "size": {128, 8}} {
		if err := blob.Put([]byte(key), value); err != nil {
			return err
		}
	}
	labels, err := blob.CreateBucket([]byte("labels"))
	if err != nil {
		return err
	}
	return labels.Put([]byte("containerd.io/uncompressed"), digest)
}
