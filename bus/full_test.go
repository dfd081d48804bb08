package bus_test

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"prunella"
	"prunella/bus"
)

// A disk that is full refuses signals and says so; when there is room again it
// goes on by itself, with everything that was taken and nothing that was not.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	b := open(t, bus.Config{Dir: filepath.Join(dir, "bus"), MaxBytes: 4 << 20})
	defer b.Close() // before the disk is gone
	c, err := b.Consumer(t.Context(), "pipeline")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), batch("before", 3)); err != nil {
		t.Fatal(err)
	}
	fill := filepath.Join(dir, "fill")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	f.Close()
	large := batch("full", 1)
	noise := make([]byte, 256<<10)
	rand.Read(noise)
	large[0].Body = hex.EncodeToString(noise)
	for range 2 {
		err := b.Publish(t.Context(), large)
		if prunella.KindOf(err) != prunella.Unavailable || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "make room") {
			t.Fatalf("it says %v", err)
		}
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		err := b.Publish(t.Context(), batch("after", 2))
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with room again: %v", err)
		}
		<-time.After(100 * time.Millisecond)
	}
	// A reader may ask just as the storage is opened: it is told so, and asks again.
	got := drainPast(t, c, 2, func(err error) bool { return prunella.KindOf(err) == prunella.Unavailable })
	if len(got) != 2 || got[0].Signals[0].ID != "before-0" || got[1].Signals[0].ID != "after-0" {
		t.Errorf("%+v", got)
	}
	if err := c.AckThrough(t.Context(), got[1].Seq); err != nil {
		t.Error(err)
	}
}
