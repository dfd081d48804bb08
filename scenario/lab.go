package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella"
	"prunella/lab"
)

var profiles = []string{"distributed", "cached"}

func verifierKinds() []string {
	var out []string
	for _, k := range lab.Kinds() {
		out = append(out, string(k))
	}
	return out
}

// checkFault holds a fault and its parameters against the lab's list.
func (r *reader) checkFault(n, with *yaml.Node, v Injection) {
	var names []string
	for _, f := range lab.Faults() {
		names = append(names, f.Name)
		if f.Name != v.Fault {
			continue
		}
		var params []string
		for _, p := range f.Params {
			params = append(params, p.Name)
		}
		for _, name := range slices.Sorted(maps.Keys(v.With)) {
			if !slices.Contains(params, name) {
				r.fail(with, orElse("it takes "+strings.Join(params, ", "), "it takes none"), "the fault %s has no parameter %q", v.Fault, name)
			}
		}
		return
	}
	near := ""
	if w := nearest(v.Fault, names); w != "" {
		near = "; did you mean " + w + "?"
	}
	r.fail(n, "write one of "+strings.Join(names, ", ")+near, "there is no fault %q", v.Fault)
}

// labWorld is a lab as the runner sees it.
type labWorld struct {
	*lab.World
	http *http.Client
}

// StartLab starts a lab. The world that results is a function of w and seed.
func StartLab(ctx context.Context, w World, seed int64) (LiveWorld, error) {
	spec := lab.Spec{Profile: w.Profile, ServiceCount: w.Services, Alg: w.Alg, TokenLifetime: w.TokenLifetime, NextPublished: w.NextPublished, Keyset: w.Keyset, Issuer: w.Issuer,
		Rate: w.Rate, Sessions: w.Sessions, NoiseShare: w.Noise, Seed: seed, Processes: w.Processes}
	for _, v := range w.Named {
		spec.Services = append(spec.Services, lab.ServiceSpec{Name: v.Name, Kind: lab.Kind(v.Verifier), CacheTTL: v.CacheTTL, Criticality: v.Criticality, Owner: v.Owner})
	}
	for _, f := range w.Coming {
		spec.Faults = append(spec.Faults, lab.Coming{Name: f.Fault, Params: f.With})
	}
	started, err := lab.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &labWorld{World: started, http: &http.Client{Timeout: 10 * time.Second}}, nil
}

func (w *labWorld) ExportTo(url string) error { return w.World.ExportTo(url, "") }

func (w *labWorld) Requests(since time.Time) Tally {
	c := w.Counts(since)
	t := Tally{Total: c.Total, Failed: c.Failed}
	for _, f := range c.Failures {
		if said := fmt.Sprintf("%s answered %d: %s", f.Service, f.Status, shorten(f.Reason, 160)); len(t.Said) < 4 && !slices.Contains(t.Said, said) {
			t.Said = append(t.Said, said)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if c.Services[name].Refused > 0 {
			t.Refused = append(t.Refused, name)
		}
	}
	return t
}

func (w *labWorld) Stop(ctx context.Context) error {
	w.http.CloseIdleConnections()
	return w.World.Stop(ctx)
}

// Inject adds to what the lab says facts that are looked up in the world:
// old_kid and new_kid, the signer before and after; refused, the services that
// refuse a fresh token of that signer; keyset, the services that verify with
// package keyset.
func (w *labWorld) Inject(ctx context.Context, fault string, with map[string]string) (prunella.FaultRecord, error) {
	before := w.signer(ctx)
	rec, err := w.World.Inject(ctx, fault, with)
	if err != nil {
		return rec, err
	}
	facts := maps.Clone(rec.Params)
	if facts == nil {
		facts = map[string]string{}
	}
	facts["old_kid"], facts["new_kid"] = before, w.signer(ctx)
	var onKeyset []string
	for name, kind := range w.Verifiers() {
		if kind == lab.KeySet {
			onKeyset = append(onKeyset, name)
		}
	}
	slices.Sort(onKeyset)
	facts["keyset"] = strings.Join(onKeyset, ",")
	if refused := w.refusing(ctx, facts["new_kid"]); len(refused) > 0 {
		facts["refused"] = strings.Join(refused, ",")
	}
	rec.Params = facts
	return rec, nil
}

// signer is "" when the issuer does not tell, as in an outage of the issuer.
func (w *labWorld) signer(ctx context.Context) string {
	var keys struct {
		Signer string `json:"signer"`
	}
	if w.keyAPI(ctx, http.MethodGet, "/keys/v1/keys", nil, &keys) != nil {
		return ""
	}
	return keys.Signer
}

// refusing is empty when no token can be had.
func (w *labWorld) refusing(ctx context.Context, kid string) []string {
	inv := w.Inventory()
	var canary struct {
		Token string `json:"access_token"`
	}
	if kid == "" || w.keyAPI(ctx, http.MethodPost, "/keys/v1/keys/"+kid+"/canary", map[string]string{"audience": inv.Issuers[0].Audience}, &canary) != nil {
		return nil
	}
	var out []string
	for _, s := range inv.Services {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+s.Canary, nil)
		if err != nil {
			continue
		}
		req.Header.Set("Authorization", "Bearer "+canary.Token)
		res, err := w.http.Do(req)
		if err != nil {
			continue
		}
		if res.StatusCode == http.StatusUnauthorized {
			out = append(out, s.Name)
		}
		_ = res.Body.Close() // nothing of it is read
	}
	slices.Sort(out)
	return out
}

func (w *labWorld) keyAPI(ctx context.Context, method, path string, in, out any) error {
	admin := w.Inventory().Issuers[0].Admin
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, admin.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+admin.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", path, res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(out)
}
