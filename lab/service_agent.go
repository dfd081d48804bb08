package lab

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	otellog "go.opentelemetry.io/otel/log"

	"prunella/keyset"
	"prunella/rotation/agent"
)

// ackLease is how long an acknowledgement counts: short, since a promotion waits
// for up to a third of it.
const ackLease = 6 * time.Second

// rotationMember is what a service knows of an issuer that runs on rotation.
type rotationMember struct {
	AckURL string `json:"ack_url"`
	JWKS   string `json:"jwks"` // static-file: where its agent reads the key set
}

// startAgent lets an agent keep the key file of a static-file service, and speak
// for it.
func (s *service) startAgent(ctx context.Context, file configFile, url string) error {
	a, err := agent.New(agent.Config{
		Issuer: file.Auth.Issuer, JWKS: s.cfg.Rotation.JWKS, File: s.cfg.KeysFile, Mode: 0o600,
		Reload: func(ctx context.Context) error {
			if err := s.keys.reload(); err != nil {
				return err
			}
			s.otel.log(ctx, otellog.SeverityInfo, fmt.Sprintf("key file %s read again: %d keys", filepath.Base(s.cfg.KeysFile), len(s.keys.kids())))
			return nil
		},
		Probe:       url + "/api/ping",
		Acknowledge: keyset.Acknowledge{URL: s.cfg.Rotation.AckURL, Secret: s.cfg.Secret, Instance: s.cfg.Pod, Lease: ackLease},
		HintSecrets: []string{s.cfg.Secret}, Client: s.client, Log: slog.New(serviceLog{s.otel}),
	})
	if err != nil {
		return err
	}
	s.hook = &door{addr: s.cfg.WebhookAddr, handler: a.Hints()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends with the service, not with the call that started it
	var done sync.WaitGroup
	s.stopAgent = func() { cancel(); done.Wait() }
	done.Go(func() { _ = a.Run(ctx) }) // nil always
	return nil
}
