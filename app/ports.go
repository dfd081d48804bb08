package app

import (
	"context"
	"time"

	"prunella"
	"prunella/action"
	"prunella/bus"
	"prunella/engine"
	"prunella/store"
)

// engineStore gives the engine its store, and tells the pages what changed.
type engineStore struct {
	*store.Store
	hub *hub
}

func (s engineStore) OpenIncidents(ctx context.Context) ([]prunella.Incident, error) {
	return s.Incidents(ctx, store.IncidentFilter{Open: true, Limit: 10_000})
}

func (s engineStore) LoadState(ctx context.Context, name string) ([]byte, error) {
	return never(s.Store.LoadState(ctx, name))
}

func (s engineStore) RecentlyResolved(ctx context.Context, since time.Time) ([]prunella.Incident, error) {
	return s.Incidents(ctx, store.IncidentFilter{States: []prunella.State{prunella.Resolved}, Since: since, Limit: 200})
}

func (s engineStore) Earlier(ctx context.Context, since time.Time) ([]prunella.Incident, error) {
	return s.Incidents(ctx, store.IncidentFilter{Since: since, Limit: 200})
}

func (s engineStore) Save(ctx context.Context, c engine.Change) (prunella.Incident, error) {
	b := store.Batch{
		Admit:         c.Admit,
		Updates:       []store.IncidentUpdate{{ID: c.ID, Apply: c.Apply, Events: c.Events}},
		Outcomes:      c.Outcomes,
		Notifications: c.Notifications,
	}
	if c.Withdraw != "" {
		b.Updates[0].EachApproval = func(a *prunella.Approval) bool { return withdraw(a, "prunella", c.Withdraw, time.Now()) }
	}
	if c.Run != nil {
		b.NewRuns = []prunella.Run{*c.Run}
	}
	if c.Approval != nil {
		b.Approvals = []prunella.Approval{*c.Approval}
	}
	if c.UpdateRun != nil {
		b.Runs = []store.RunUpdate{{ID: c.UpdateRun.ID, Fence: c.UpdateRun.Fence, Apply: c.UpdateRun.Apply}}
	}
	if err := s.Commit(ctx, b); err != nil {
		return prunella.Incident{}, err
	}
	s.hub.announce("incident", string(c.ID))
	for _, o := range c.Outcomes {
		s.hub.announce("skills", string(o.Skill))
	}
	return s.Incident(ctx, c.ID)
}

// withdraw ends a question that nobody has answered; others stay as they are, and
// it answers false.
func withdraw(a *prunella.Approval, by, why string, now time.Time) bool {
	if a.Decision != "" {
		return false
	}
	a.Decision, a.By, a.Note, a.Decided = store.Withdrawn, by, why, now.UTC()
	return true
}

func (s engineStore) ExpireApproval(ctx context.Context, id, hash string, now time.Time) (prunella.Approval, error) {
	return s.DecideApproval(ctx, id, hash, store.Expired, "prunella", "nobody answered in time", now, store.IncidentUpdate{})
}

func (s engineStore) UpdateRun(ctx context.Context, id prunella.RunID, fence int64, change func(*prunella.Run) error, events ...prunella.Event) (prunella.Run, error) {
	r, err := s.Store.UpdateRun(ctx, id, fence, change, events...)
	if err == nil {
		s.hub.announce("incident", string(r.Incident))
	}
	return r, err
}

func (s engineStore) CommitBatch(ctx context.Context, b engine.Batch) error {
	sb := store.Batch{Linked: b.Linked, Changes: b.Changes, Logs: b.Logs, Points: b.Points, State: b.State, Notifications: b.Notifications}
	for _, u := range b.Updates {
		sb.Updates = append(sb.Updates, store.IncidentUpdate{ID: u.ID, Create: u.Create, Apply: u.Apply, Events: u.Events})
	}
	if err := s.Commit(ctx, sb); err != nil {
		return err
	}
	for _, u := range b.Updates {
		s.hub.announce("incident", string(u.ID))
	}
	if len(b.Points) > 0 {
		s.hub.status()
	}
	return nil
}

// history gives reads what was stored.
type history struct{ *store.Store }

func (h history) SearchLogs(ctx context.Context, q action.LogQuery) ([]prunella.Signal, int, error) {
	res, err := h.Store.SearchLogs(ctx, store.LogQuery{Any: q.Any, Regex: q.Regex, Since: q.Since, Until: q.Until, Limit: q.Limit})
	return res.Signals, res.Total, err
}

// recorder keeps what the monitors saw for the key board.
type recorder struct {
	*store.Store
	hub *hub
}

func (r recorder) PutTrust(ctx context.Context, cells []prunella.TrustCell) error {
	defer r.hub.announce("keys", "")
	return r.Store.PutTrust(ctx, cells)
}

func (r recorder) PutKeySet(ctx context.Context, k prunella.KeySet) error {
	defer r.hub.announce("keys", "")
	return r.Store.PutKeySet(ctx, k)
}

// source gives the pipeline its messages.
type source struct{ *bus.Consumer }

func (s source) Fetch(ctx context.Context, max int, wait time.Duration) ([]engine.Message, error) {
	messages, err := s.Consumer.Fetch(ctx, max, wait)
	out := make([]engine.Message, 0, len(messages))
	for _, m := range messages {
		out = append(out, engine.Message{Seq: m.Seq, Signals: m.Signals})
	}
	return out, err
}

// monitorState keeps what monitors compare with.
type monitorState struct{ *store.Store }

func (s monitorState) Load(ctx context.Context, name string) ([]byte, error) {
	return never(s.LoadState(ctx, "monitor/"+name))
}

// never turns "there is none yet" into nothing, as a first start has it.
func never(b []byte, err error) ([]byte, error) {
	if prunella.KindOf(err) == prunella.NotFound {
		return nil, nil
	}
	return b, err
}

func (s monitorState) Save(ctx context.Context, name string, b []byte) error {
	return s.Commit(ctx, store.Batch{State: map[string][]byte{"monitor/" + name: b}})
}
