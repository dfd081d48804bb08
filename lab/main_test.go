package lab_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"prunella/lab"
)

func TestMain(m *testing.M) {
	handled, err := lab.ChildMain(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if handled {
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs a world until the test ends and fails the test when it does not
// stop cleanly.
func start(t *testing.T, spec lab.Spec) *lab.World {
	t.Helper()
	if spec.Alg == "" {
		spec.Alg = "ES256" // its keys cost nothing to make
	}
	w, err := lab.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return w
}
