package action

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"prunella"
)

func vendorOperations() []operation {
	return []operation{{
		spec: read("vendor.status", "What the issuer's status page says, and whether the issuer itself answers.",
			[]prunella.ParamSpec{issuerParam},
			"known: a status page is declared and answers", "indicator: none, minor, major or critical; empty when not known", "description: the page's sentence",
			"down: the indicator is major or critical, or the issuer answers on none of discovery, key set and token endpoint",
			"answers: for discovery, jwks and token, whether it answers", "vendor: who runs the issuer, empty when it is not a vendor"),
		read: (*World).readVendor,
	}}
}

func (w *World) readVendor(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	i, err := w.issuer(p.text("issuer"), inc.Services)
	if err != nil {
		return nil, err
	}
	var page struct {
		Status struct {
			Indicator   string `json:"indicator"`
			Description string `json:"description"`
		} `json:"status"`
	}
	var wg sync.WaitGroup
	var pageErr error
	known := i.StatusPage != ""
	if known {
		wg.Go(func() {
			pageErr = w.opt.Caught.Contain("status page", func() error {
				_, err := w.getJSON(ctx, join(i.StatusPage, "api/v2/status.json"), "", &page)
				return err
			})
		})
	}
	answers, err := w.answers(ctx, i)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	reason := ""
	switch {
	case !known:
		reason = "no status page is declared"
	case pageErr != nil:
		known, reason = false, pageErr.Error()
	}
	indicator := page.Status.Indicator
	silent := !answers["discovery"] && !answers["jwks"] && !answers["token"]
	return map[string]any{"known": known, "issuer": i.Name, "vendor": i.Vendor, "indicator": indicator,
		"description": shorten(page.Status.Description, 240), "down": indicator == "major" || indicator == "critical" || silent,
		"answers": answers, "reason": reason}, nil
}

// answers asks each of the issuer's endpoints; any answer below 500 counts. An
// endpoint that could not be asked, for a fault of ours, is an error.
func (w *World) answers(ctx context.Context, i prunella.Issuer) (map[string]bool, error) {
	addresses := map[string]string{"discovery": join(i.URL, "/.well-known/openid-configuration")}
	if d, err := w.discover(ctx, i); err == nil {
		addresses["jwks"], addresses["token"] = d.JWKS, d.Token
	}
	out := map[string]bool{"discovery": false, "jwks": false, "token": false}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for name, address := range addresses {
		if address == "" {
			continue
		}
		wg.Go(func() {
			answered := false
			err := w.opt.Caught.Contain("issuer endpoints", func() error {
				// The token endpoint refuses a GET, and refusing is answering.
				a, err := w.exchange(ctx, call{method: http.MethodGet, url: address}, w.opt.Probe)
				answered = err == nil && a.status < 500
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			out[name], failed = answered, errors.Join(failed, err)
		})
	}
	wg.Wait()
	return out, failed
}
