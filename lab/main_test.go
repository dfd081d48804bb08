package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"prunella/lab"
)

// parentArg makes the test binary a program that runs a lab and waits to be
// killed.
const parentArg = "lab-parent"

func TestMain(m *testing.M) {
	handled, err := lab.ChildMain(context.Background(), os.Args[1:])
	if !handled && len(os.Args) > 1 && os.Args[1] == parentArg {
		handled, err = true, parent()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if handled {
		return
	}
	goleak.VerifyTestMain(m)
}

func parent() error {
	w, err := lab.Start(context.Background(), lab.Spec{Alg: "ES256", ServiceCount: 2, Processes: true, Rate: -1})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(w.Inventory()); err != nil {
		return err
	}
	select {}
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
