package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Fault is a way to break a world.
type Fault struct {
	Name   string
	Doc    string
	Params []prunella.ParamSpec
	about  func(w *World, p *faultParams) ([]string, error) // the services that it singles out, known before it is injected; nil for none
	inject func(ctx context.Context, w *World, p *faultParams) (injected, error)
}

// injected is what a fault did.
type injected struct {
	at     time.Time // when it began to act
	proof  string    // what was observed
	proven bool
	revert func(ctx context.Context) error
}

type activeFault struct {
	name   string
	revert func(ctx context.Context) error
}

// Faults lists every fault with its parameters, sorted by name.
func Faults() []Fault {
	all := slices.Concat(keyFaults(), otherFaults())
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Inject breaks the world and observes that it is broken. The record's Proven is
// false when what was observed is not what the fault should do. An unknown fault
// or parameter is Invalid; a fault that this world cannot show is Conflict.
func (w *World) Inject(ctx context.Context, name string, params map[string]string) (prunella.FaultRecord, error) {
	w.faultMu.Lock()
	defer w.faultMu.Unlock()
	p, err := w.paramsOf(name, w.asPlanned(name, params))
	if err != nil {
		return prunella.FaultRecord{}, err
	}
	in, err := p.fault.inject(ctx, w, p)
	if in.revert != nil {
		w.active = append(w.active, activeFault{name, in.revert})
	}
	if err != nil {
		return prunella.FaultRecord{}, fmt.Errorf("inject %s: %w", name, err)
	}
	w.spec.Log.Info("fault injected", "component", "lab", "fault", name, "proven", in.proven, "proof", in.proof)
	return prunella.FaultRecord{Fault: name, Params: p.resolved, At: in.at.UTC(), Proof: in.proof, Proven: in.proven}, nil
}

// Revert mends what the named faults broke, all faults when none is named, last
// first, and proves that every service accepts a token of the signer again.
func (w *World) Revert(ctx context.Context, faults ...string) error {
	w.faultMu.Lock()
	defer w.faultMu.Unlock()
	var errs []error
	kept := []activeFault{}
	for _, f := range slices.Backward(w.active) {
		if len(faults) > 0 && !slices.Contains(faults, f.name) {
			kept = append(kept, f)
			continue
		}
		if err := f.revert(ctx); err != nil {
			errs = append(errs, fmt.Errorf("revert %s: %w", f.name, err))
		}
	}
	slices.Reverse(kept)
	w.active = kept
	if err := errors.Join(errs...); err != nil || len(kept) > 0 {
		return err
	}
	return w.mend(ctx)
}

// mend restarts the services that refuse a token of a key in use, and fails when
// they refuse it after that.
func (w *World) mend(ctx context.Context) error {
	keys, signer, err := w.admin.keys(ctx)
	if err != nil {
		return err
	}
	refused := map[string]bool{}
	for _, k := range keys {
		if k.Published.IsZero() || k.Activated.IsZero() {
			continue // never signed, or its tokens are meant to be refused
		}
		cells, err := w.probe(ctx, k.Kid, w.order)
		if err != nil {
			return err
		}
		for _, name := range refusing(cells) {
			refused[name] = true
		}
	}
	if len(refused) == 0 {
		return nil
	}
	if err := w.restart(ctx, slices.Sorted(maps.Keys(refused))); err != nil {
		return err
	}
	cells, err := w.probe(ctx, signer, w.order)
	if err != nil {
		return err
	}
	if len(refusing(cells)) > 0 {
		return fmt.Errorf("not mended: %s", describe(cells))
	}
	return nil
}

// restart rolls deployments, all at once.
func (w *World) restart(ctx context.Context, names []string) error {
	return w.everyNode(func(n *node) error {
		if !slices.Contains(names, n.spec.Name) {
			return nil
		}
		return w.control.kube.restart(ctx, n.spec.Name)
	})
}

// faultParams reads a fault's parameters and remembers what they came to.
type faultParams struct {
	w        *World
	fault    Fault
	given    map[string]string
	resolved map[string]string
}

// paramsOf looks the fault up and holds the parameters against its list.
func (w *World) paramsOf(name string, given map[string]string) (*faultParams, error) {
	var names []string
	for _, f := range Faults() {
		if f.Name == name {
			p := &faultParams{w: w, fault: f, given: given, resolved: map[string]string{}}
			maps.Copy(p.resolved, given)
			return p, p.known()
		}
		names = append(names, f.Name)
	}
	return nil, &prunella.Error{Kind: prunella.Invalid, Op: "inject", Where: name,
		Reason: "there is no such fault", Remedy: "faults are " + strings.Join(names, ", ")}
}

func (p *faultParams) known() error {
	var names []string
	for _, s := range p.fault.Params {
		names = append(names, s.Name)
	}
	for name := range p.given {
		if !slices.Contains(names, name) {
			remedy := p.fault.Name + " takes " + strings.Join(names, ", ")
			if len(names) == 0 {
				remedy = p.fault.Name + " takes no parameters"
			}
			return &prunella.Error{Kind: prunella.Invalid, Op: "inject", Where: p.fault.Name + "." + name, Reason: "there is no such parameter", Remedy: remedy}
		}
	}
	return nil
}

func (p *faultParams) invalid(name, remedy string) error {
	return &prunella.Error{Kind: prunella.Invalid, Op: "inject", Where: p.fault.Name + "." + name,
		Reason: fmt.Sprintf("%q is not a value of it", p.given[name]), Remedy: remedy}
}

func (p *faultParams) text(name, otherwise string) string {
	v := orElse(p.given[name], otherwise)
	p.resolved[name] = v
	return v
}

func (p *faultParams) bool(name string, otherwise bool) (bool, error) {
	v, err := strconv.ParseBool(p.text(name, strconv.FormatBool(otherwise)))
	if err != nil {
		return false, p.invalid(name, "write true or false")
	}
	return v, nil
}

func (p *faultParams) duration(name string, otherwise time.Duration) (time.Duration, error) {
	v, err := time.ParseDuration(p.text(name, otherwise.String()))
	if err != nil {
		return 0, p.invalid(name, "write a duration such as 10m or -90s")
	}
	return v, nil
}

func (p *faultParams) number(name string, otherwise, least, most int) (int, error) {
	v, err := strconv.Atoi(p.text(name, strconv.Itoa(otherwise)))
	if err != nil || v < least || v > most {
		return 0, p.invalid(name, fmt.Sprintf("write a number from %d to %d", least, most))
	}
	return v, nil
}

// oneOf reads a word from a closed set; the first is the default.
func (p *faultParams) oneOf(name string, words ...string) (string, error) {
	v := p.text(name, words[0])
	if !slices.Contains(words, v) {
		return "", p.invalid(name, "write "+strings.Join(words, " or "))
	}
	return v, nil
}

// service reads the name of one service, by default one of them picked by the
// seed.
func (p *faultParams) service(name string, from []string) (string, error) {
	v := p.given[name]
	if v == "" {
		v = from[p.w.rng.IntN(len(from))]
	}
	if !slices.Contains(from, v) {
		return "", p.invalid(name, "services are "+strings.Join(from, ", "))
	}
	p.resolved[name] = v
	return v, nil
}

// services reads "3" (that many, picked by the seed) or "user,order", out of
// those that may be meant.
func (p *faultParams) services(name string, otherwise int, from []string) ([]string, error) {
	given := orElse(p.given[name], strconv.Itoa(otherwise))
	var out []string
	if n, err := strconv.Atoi(given); err == nil {
		if n < 1 || n > len(from) {
			return nil, p.invalid(name, fmt.Sprintf("write a number from 1 to %d or names out of %s", len(from), strings.Join(from, ",")))
		}
		for _, i := range p.w.rng.Perm(len(from))[:n] {
			out = append(out, from[i])
		}
	} else {
		for s := range strings.SplitSeq(given, ",") {
			s = strings.TrimSpace(s)
			if !slices.Contains(from, s) {
				return nil, p.invalid(name, fmt.Sprintf("write a number from 1 to %d or names out of %s", len(from), strings.Join(from, ",")))
			}
			out = append(out, s)
		}
		sort.Strings(out)
		out = slices.Compact(out)
	}
	sort.Strings(out)
	p.resolved[name] = strings.Join(out, ",")
	return out, nil
}

// fetches are the services that fetch the key set over HTTP.
func (w *World) fetches() []string { return w.servicesOf(fetching...) }

var fetching = []Kind{WholeSet, PerKid, Keyfunc, GoOIDC, JWX}

// ridesOut says whether every service is on keyset, which key faults do not
// bite: what proves such a fault then is the issuer's own set.
func (w *World) ridesOut() bool { return len(w.servicesOf(KeySet)) == len(w.order) }

// saysSet tells what the issuer publishes.
func (w *World) saysSet(ctx context.Context) string {
	keys, err := (&fetcher{url: w.jwksURL(), client: w.client}).get(ctx)
	if err != nil {
		return err.Error()
	}
	return "the published set holds " + strings.Join(kidsOf(keys), ", ")
}

// cannot says why this world cannot show a fault.
func cannot(reason, remedy string) error {
	return &prunella.Error{Kind: prunella.Conflict, Reason: reason, Remedy: remedy}
}

// withStatus counts the answers with that status.
func withStatus(cells []cell, status int) int {
	n := 0
	for _, c := range cells {
		if c.status == status {
			n++
		}
	}
	return n
}
