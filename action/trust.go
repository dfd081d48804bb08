package action

import (
	"context"
	"slices"
	"time"

	"prunella"
)

func trustOperations() []operation {
	return []operation{
		{
			spec: read("trust.grid", "Which service accepts tokens of which key, by canary tokens sent to every service with a canary path.",
				[]prunella.ParamSpec{issuerParam},
				"known: a token of the signer could be had and there is a service to try it on",
				"signer: kid of a freshly issued token, or the key API's signer", "kids: keys that were tried, the signer first",
				"by_kid: for each kid the services that are in trusts, rejects and unknown",
				"lacking: services that reject the signer's tokens because of key or signature, or without saying why",
				"refusing_otherwise: for each service that rejects the signer's tokens for another reason (exp, nbf, iat, aud, iss, scope), what it said",
				"trusting: services that accept the signer's tokens", "unknown: services that gave no answer about the signer",
				"reasons: for each service that does not accept the signer's tokens, what it said",
				"clock_offsets_s: for each service that answered, its clock minus ours",
				"probed: number of canary calls made", "error: why no canary token could be had, or empty"),
			read: (*World).readTrust,
		},
		{
			spec: read("clock.offsets", "How far the clock of each service and issuer is from ours, from the Date header of an answer (within a second).",
				nil, "known: at least one answered with a date", "offsets_s: for each service, its clock minus ours",
				"max_s: the largest offset without its sign", "worst: the service that has it"),
			read: (*World).readClocks,
		},
		{
			spec: does("canary.prove", prunella.Reads, "Prove with canary tokens that services accept a key; fails with the names of those that reject it or do not answer.",
				need("issuer", "text", "name of the issuer"), need("kid", "text", "key id; it has to be published"),
				may("services", "list", "names of services; by default all of the issuer's with a canary path")),
			do: (*World).prove,
			happened: func(*World, context.Context, string, params, map[string]any) (Happened, string, error) {
				return No, "a proof changes nothing and may be repeated", nil
			},
		},
	}
}

// cellKey identifies a cell that may be shown again.
type cellKey struct{ issuer, kid, thumbprint, service string }

// How long a cell of a key that does not sign is shown again; the signer's cells
// are always fresh. A refused call is a failed request to the service, in its
// metrics and logs: a published key that a service lacks must not look like an
// outage because we keep asking, so a refusal stands until we change something
// or refusedAge is over.
const (
	gridAge    = time.Second // for the read trust.grid
	boardAge   = 10 * time.Second
	refusedAge = time.Minute
)

func (w *World) forgetCells() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cells)
}

// retry probes only the services whose cell for that key is older than age.
func (w *World) retry(ctx context.Context, i prunella.Issuer, k prunella.PublicKey, services []prunella.Service, age time.Duration) ([]cell, error) {
	now := w.opt.Now()
	var due []prunella.Service
	var out []cell
	w.mu.Lock()
	for _, s := range services {
		c, ok := w.cells[cellKey{i.Name, k.Kid, k.Thumbprint, s.Name}]
		limit := age
		if c.Trust == prunella.Rejects {
			limit = refusedAge
		}
		if ok && now.Sub(c.At) < limit {
			out = append(out, c)
		} else {
			due = append(due, s)
		}
	}
	w.mu.Unlock()
	if len(due) == 0 {
		return out, nil
	}
	fresh, err := w.probe(ctx, i, k.Kid, k.Thumbprint, due)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range fresh {
		w.cells[cellKey{i.Name, k.Kid, k.Thumbprint, c.Service}] = c
	}
	for old, c := range w.cells {
		if now.Sub(c.At) > refusedAge {
			delete(w.cells, old)
		}
	}
	return append(out, fresh...), nil
}

// board is one look at an issuer's keys and verifiers.
type board struct {
	keys  keySetView
	kids  []string // tried, the signer first
	cells []cell
	err   error // no token of the signer could be had
}

// look probes the signer's key on every service of the issuer, and the other
// published keys where their cells are older than age. With unpublished set it
// goes on to the newest keys that are held but not published, on the services
// that reject the signer only: a verifier that meets a kid it does not know may
// spend its one refresh on it (keyfunc: one in five minutes), and those services
// have spent theirs on the signer's kid.
func (w *World) look(ctx context.Context, i prunella.Issuer, age time.Duration, unpublished bool) board {
	b := board{keys: w.keySet(ctx, i)}
	services := w.canaries(i)
	signer := b.keys.signer()
	if signer == "" {
		b.err = prunella.Errorf(prunella.Unavailable, "the signer of %s is not known: neither a token nor the key API can be had", i.Name)
		return b
	}
	first, others, held := b.sort(i)
	add := func(kid string, cells []cell, err error) {
		if err == nil {
			b.kids = append(b.kids, kid)
			b.cells = append(b.cells, cells...)
		} else if kid == signer {
			b.err = err
		}
	}
	cells, err := w.probeSigner(ctx, i, b.keys, first.Thumbprint, services)
	add(signer, cells, err)
	for _, k := range others {
		cells, err := w.retry(ctx, i, k, services, age)
		add(k.Kid, cells, err)
	}
	var lacking []prunella.Service
	for _, s := range services {
		if slices.ContainsFunc(b.cells, func(c cell) bool { return c.Service == s.Name && c.Kid == signer && c.lacksKey() }) {
			lacking = append(lacking, s)
		}
	}
	if unpublished && len(lacking) > 0 {
		for _, k := range held[:min(2, len(held))] {
			cells, err := w.retry(ctx, i, k, lacking, age)
			add(k.Kid, cells, err)
		}
	}
	return b
}

// sort tells the signer's key from the other published keys and from those that
// are held but not published, the newest first.
func (b board) sort(i prunella.Issuer) (signer prunella.PublicKey, others, held []prunella.PublicKey) {
	signer.Kid = b.keys.signer()
	own := i.Admin != nil && i.Admin.Kind == adminKeys // tokens of any key can be had
	for _, k := range b.keys.Keys {
		switch {
		case k.Kid == signer.Kid:
			signer = k
		case k.Kid == "" || !own || k.State == "" || k.State == stateRevoked:
		case k.Published:
			others = append(others, k)
		case k.State == statePrevious || k.State == stateRemoved:
			held = append(held, k)
		}
	}
	slices.SortFunc(held, func(a, b prunella.PublicKey) int { return b.Since.Compare(a.Since) })
	return signer, others, held
}

// canaries returns the services that verify the issuer's tokens and can be probed.
func (w *World) canaries(i prunella.Issuer) []prunella.Service {
	var out []prunella.Service
	for _, s := range w.inv.Services {
		if of, ok := w.inv.IssuerOf(s.Name); ok && of.Name == i.Name && s.URL != "" && s.Canary != "" {
			out = append(out, s)
		}
	}
	return out
}

// Trust probes the published keys of an issuer on all its services and returns
// the signer's kid and a cell for each key and service, the signer's first.
// Cells of the other keys may be up to a minute old. The error says that
// no token of the signer could be had.
func (w *World) Trust(ctx context.Context, issuer string) (signer string, cells []prunella.TrustCell, err error) {
	i, err := w.issuer(issuer, nil)
	if err != nil {
		return "", nil, err
	}
	b := w.look(ctx, i, boardAge, false)
	if b.err != nil {
		return b.keys.signer(), nil, w.failed("probe "+i.Name, b.err)
	}
	for _, c := range b.cells {
		cells = append(cells, c.TrustCell)
	}
	return b.keys.signer(), cells, nil
}

func (w *World) readTrust(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	i, err := w.issuer(p.text("issuer"), inc.Services)
	if err != nil {
		return nil, err
	}
	b := w.look(ctx, i, gridAge, true)
	signer := b.keys.signer()
	services := w.canaries(i)
	byKid := map[string]any{}
	lists := map[string][]string{"lacking": {}, "trusting": {}, "unknown": {}}
	reasons, otherwise, offsets := map[string]string{}, map[string]string{}, map[string]float64{}
	for _, kid := range b.kids {
		row := map[string][]string{string(prunella.Trusts): {}, string(prunella.Rejects): {}, string(prunella.TrustUnknown): {}}
		for _, s := range services {
			c := prunella.TrustUnknown // not tried on this service
			if n := slices.IndexFunc(b.cells, func(c cell) bool { return c.Service == s.Name && c.Kid == kid }); n >= 0 {
				c = b.cells[n].Trust
			}
			row[string(c)] = append(row[string(c)], s.Name)
		}
		r := map[string]any{}
		for k, v := range row {
			r[k] = v
		}
		byKid[kid] = r
	}
	for _, c := range b.cells {
		if c.dated {
			offsets[c.Service] = round(c.ClockOffset)
		}
		if c.Kid != signer {
			continue
		}
		switch {
		case c.Trust == prunella.Trusts:
			lists["trusting"] = append(lists["trusting"], c.Service)
			continue
		case c.lacksKey():
			lists["lacking"] = append(lists["lacking"], c.Service)
		case c.Trust == prunella.Rejects:
			otherwise[c.Service] = c.Reason
		default:
			lists["unknown"] = append(lists["unknown"], c.Service)
		}
		reasons[c.Service] = c.Reason
	}
	failure := ""
	if b.err != nil {
		failure = b.err.Error()
		for _, s := range services {
			lists["unknown"] = append(lists["unknown"], s.Name)
		}
	}
	res := map[string]any{"known": b.err == nil && len(b.cells) > 0, "issuer": i.Name, "signer": signer, "kids": slices.Clone(b.kids), "by_kid": byKid, "refusing_otherwise": otherwise,
		"reasons": reasons, "clock_offsets_s": offsets, "probed": len(b.cells), "error": failure}
	for name, l := range lists {
		slices.Sort(l)
		res[name] = slices.Compact(l)
	}
	return res, nil
}
