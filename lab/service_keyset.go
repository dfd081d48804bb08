package lab

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"

	"prunella"
	"prunella/keyset"
)

// readyWithin is how long an instance may take to become ready. It takes no
// connection before, so that its predecessor goes on serving.
const readyWithin = 3 * time.Second

// keysetVerifier is package keyset as its documentation says.
type keysetVerifier struct {
	set    *keyset.Set
	client *http.Client
}

func (s *service) newKeysetVerifier(ctx context.Context, file configFile) (*keysetVerifier, error) {
	client := newClient(2 * time.Second)
	cfg := keyset.Config{
		Issuer: file.Auth.Issuer, Audience: []string{file.Auth.Audience}, HintSecrets: []string{s.cfg.Secret},
		Client: client, Metrics: s.metrics, Log: slog.New(serviceLog{s.otel}),
	}
	if m := s.cfg.Rotation; m != nil {
		cfg.Acknowledge = &keyset.Acknowledge{URL: m.AckURL, Secret: s.cfg.Secret, Instance: s.cfg.Pod, Lease: ackLease}
	}
	set, err := keyset.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &keysetVerifier{set, client}, nil
}

func (v *keysetVerifier) verify(ctx context.Context, token string) error {
	_, err := v.set.Verify(ctx, token)
	return err
}

func (v *keysetVerifier) close(context.Context) error {
	v.set.Close()
	v.client.CloseIdleConnections()
	return nil
}

// awaitReady waits until the service can verify tokens, at most readyWithin.
func (s *service) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready within %s: %w", readyWithin, err)
		}
	}
}

func (s *service) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.ready != nil {
		if err := s.ready(); err != nil {
			problem(w, http.StatusServiceUnavailable, "not ready", err.Error())
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// serviceLog writes the records of a library into a service's own log.
type serviceLog struct{ otel *telemetry }

func (l serviceLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l serviceLog) Handle(ctx context.Context, r slog.Record) error {
	sev := otellog.SeverityInfo
	switch {
	case r.Level >= slog.LevelError:
		sev = otellog.SeverityError
	case r.Level >= slog.LevelWarn:
		sev = otellog.SeverityWarn
	}
	text, attrs := r.Message, []attribute.KeyValue{}
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		if a.Key == "kid" {
			attrs = append(attrs, attribute.String(prunella.AttrKid, a.Value.String()))
		}
		return true
	})
	l.otel.log(ctx, sev, text, attrs...)
	return nil
}

// WithAttrs drops what is the same in every record: the resource says who it is.
func (l serviceLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l serviceLog) WithGroup(string) slog.Handler      { return l }
