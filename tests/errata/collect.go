// A slice that grows while the collector marks beside the program: its pointers are stored through the write barrier for r8.
// Where gem5 takes that barrier's xchg for a nop, an element is nil and this dies in its first collection.
package main

import (
	"fmt"
	"runtime"
	"strconv"
)

type entry struct {
	kind, name string
	config     interface{}
	needs      []string
	call       func() int
	disabled   bool
}

var registered struct{ entries []*entry }
var garbage [][]byte

func main() {
	wrong := 0
	for i := 0; i < 400; i++ {
		i := i
		made := &entry{"t" + strconv.Itoa(i), "id" + strconv.Itoa(i), nil, []string{"a", "b"}, func() int { return i }, false}
		for k, it := range registered.entries {
			if it == nil || it.kind != "t"+strconv.Itoa(k) {
				wrong++
			}
		}
		registered.entries = append(registered.entries, made)
		for j := 0; j < 6; j++ {
			block := make([]byte, 4096)
			block[5] = 1
			garbage = append(garbage, block)
			if len(garbage) > 200 {
				garbage = nil
			}
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("wrong", wrong, "collected", stats.NumGC > 0)
}
