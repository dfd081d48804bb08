package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// steadyWindow is how far back the failing share is measured.
const steadyWindow = 2 * time.Second

// awaitSteady waits until nothing is wrong and the engine knows what normal is.
func (d *drill) awaitSteady(ctx context.Context) error {
	began, want := time.Now(), d.s.Given.Steady
	said := ""
	for {
		lacks, err := d.unsteady(ctx)
		if err != nil {
			return err
		}
		if lacks == "" {
			d.say("", "steady: every service is known and healthy, no incident is open")
			return nil
		}
		if time.Since(began) > want.Within {
			return fmt.Errorf("no steady state within %s: %s", want.Within, lacks)
		}
		if lacks != said {
			said = lacks
			d.say("wait", "%s", lacks)
		}
		if err := d.wait(ctx, tick); err != nil {
			return err
		}
	}
}

// unsteady says what is still missing, "" for nothing.
func (d *drill) unsteady(ctx context.Context) (string, error) {
	status, err := d.api.Status(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine: %w", err)
	}
	if status.IncidentsOpen > 0 {
		return fmt.Sprintf("before anything was broken: %s open", count(status.IncidentsOpen, "incident")), nil
	}
	if d.world == nil {
		return "", nil
	}
	want, inv := d.s.Given.Steady, d.world.Inventory()
	t := d.world.Requests(time.Now().Add(-steadyWindow))
	if t.Total == 0 {
		return "no client has called yet", nil
	}
	if t.Share() > want.FailingMax {
		return fmt.Sprintf("%.1f %% of calls fail (at most %.1f %%)", 100*t.Share(), 100*want.FailingMax), nil
	}
	if want.Baselines {
		if lacks := unknownBaselines(inv, status.Baselines); lacks != "" {
			return lacks, nil
		}
	}
	if want.Canaries {
		keys, err := d.api.Keys(ctx)
		if err != nil {
			return "", fmt.Errorf("ask the engine for the key board: %w", err)
		}
		if ok, lacks := canariesPass(inv, keys); !ok {
			return lacks, nil
		}
	}
	return "", nil
}

// unknownBaselines says for whom the engine does not know yet what is normal.
func unknownBaselines(inv prunella.Inventory, known []client.Baseline) string {
	var lacking []string
	have, need := 0, 0
	for _, s := range inv.Services {
		i := slices.IndexFunc(known, func(b client.Baseline) bool { return b.Service == s.Name })
		if i >= 0 {
			have, need = have+min(known[i].Have, known[i].Need), need+known[i].Need
			if known[i].Known {
				continue
			}
		}
		lacking = append(lacking, s.Name)
	}
	switch {
	case len(lacking) == 0:
		return ""
	case need > 0 && len(lacking) == len(inv.Services):
		return fmt.Sprintf("the engine is learning what is normal: %d %% of the history it needs", 100*have/need)
	}
	return "the engine does not know yet what is normal for " + strings.Join(lacking, ", ")
}

// canariesPass reports whether every service accepts a token of its issuer's signer.
func canariesPass(inv prunella.Inventory, keys client.KeyBoard) (bool, string) {
	signers := map[string]string{}
	for _, set := range keys.Sets {
		signers[set.Issuer] = set.Signer
	}
	var lacking []string
	for _, s := range inv.Services {
		issuer, ok := inv.IssuerOf(s.Name)
		if !ok || s.Canary == "" {
			continue
		}
		if kid := signers[issuer.Name]; kid == "" || trustOf(keys, s.Name, kid) != prunella.Trusts {
			lacking = append(lacking, s.Name)
		}
	}
	if len(lacking) == 0 {
		return true, ""
	}
	return false, "no canary token was accepted yet by " + strings.Join(lacking, ", ")
}

func trustOf(keys client.KeyBoard, service, kid string) prunella.Trust {
	for _, c := range keys.Cells {
		if c.Service == service && c.Kid == kid {
			return c.Trust
		}
	}
	return prunella.TrustUnknown
}
