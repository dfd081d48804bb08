package exportgen

import (
	"encoding/base64"
	"fmt"
	"strings"
)

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (g *generator) random(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.r.IntN(len(alphabet))]
	}
	return string(b)
}

func (g *generator) hex(n int) string { return g.random("0123456789abcdef", n) }

// secretWord is a password as people make them.
func (g *generator) secretWord() string {
	return g.random(alnum[:26], 1) + g.random(alnum[26:52], 6) + g.random(alnum[52:], 3) + g.random("!_-", 1) + g.random(alnum, 3)
}

// secret makes a sentence with something in it that must not be stored.
func (g *generator) secret() (kind, sentence, value string) {
	switch g.r.IntN(11) {
	case 0:
		v := "AK" + "IA" + g.random(alnum[:26]+"234567", 16)
		return "aws key", "the key in the pod is " + v, v
	case 1:
		v := "gh" + "p_" + g.random(alnum, 36)
		return "github token", "i used " + v + " for the clone", v
	case 2:
		part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		v := part(`{"alg":"RS256","typ":"JWT","kid":"key-`+g.hex(4)+`"}`) + "." + part(fmt.Sprintf(`{"sub":"%d","exp":17%08d}`, g.r.IntN(1e6), g.r.IntN(1e8))) + "." + g.random(alnum, 86)
		return "jwt", "this token fails: " + v, v
	case 3:
		v := g.secretWord()
		return "password in url", "it connects to postgres://app:" + v + "@db.prod:5432/orders", v
	case 4:
		v := g.secretWord()
		return "password", "the env says DB_PASSWORD=" + v, v
	case 5:
		v := g.hex(32)
		return "cookie", "the recording has `Cookie: session=" + v + "; theme=dark`", v
	case 6:
		v := strings.ToLower(g.random(alnum[26:52], 7)) + "." + g.random(alnum[26:52], 6) + "@customer-mail.example"
		return "e-mail", "the customer is " + v, v
	case 7:
		v := fmt.Sprintf("+49 30 %07d", 1000000+g.r.IntN(8999999))
		return "phone", "their ops can be reached at " + v, v
	case 8:
		v := "xox" + "b-" + g.random(alnum[52:], 12) + "-" + g.random(alnum[52:], 12) + "-" + g.random(alnum, 24)
		return "slack token", "bot token is " + v, v
	case 9:
		v := g.random(alnum, 40)
		return "bearer", "sent `Authorization: Bearer " + v + "`", v
	}
	v := g.random(alnum+"+/", 64)
	return "private key", "```\n-----BEGIN PRIVATE " + "KEY-----\n" + v + "\n-----END PRIVATE " + "KEY-----\n```", v
}

// lookalike is a value that resembles a secret and must survive.
func (g *generator) lookalike() (kind, value string) {
	switch g.r.IntN(9) {
	case 0:
		return "commit", g.hex(40)
	case 1:
		return "trace id", g.hex(32)
	case 2:
		return "request id", g.hex(8) + "-" + g.hex(4) + "-4" + g.hex(3) + "-a" + g.hex(3) + "-" + g.hex(12)
	case 3:
		return "image", "registry.acme.example/cart@sha256:" + g.hex(64)
	case 4:
		return "metric", "password_reset_total{status=\"ok\"}"
	case 5:
		return "kid", fmt.Sprintf("key-2026-%02d-%02d", 1+g.r.IntN(12), 1+g.r.IntN(28))
	case 6:
		return "address", fmt.Sprintf("10.%d.%d.%d:8443", g.r.IntN(255), g.r.IntN(255), g.r.IntN(255))
	case 7:
		return "build", fmt.Sprintf("2026.%d.%d-rc.%d+%s", g.r.IntN(12), g.r.IntN(30), g.r.IntN(9), g.hex(8))
	}
	return "epoch", fmt.Sprint(1760000000000 + g.r.Int64N(9e9))
}

// plant puts a secret or a lookalike into a message of the scene now and then.
func (s *scene) plant() {
	if !s.threaded { // after the end of a run nobody would belong to it
		return
	}
	if chance(s.r, 0.4) {
		kind, sentence, value := s.secret()
		m := s.say(s.other(), line{text: sentence, raw: true})
		s.truth.Secrets = append(s.truth.Secrets, Planted{kind, value, s.where.name, m.TS})
	}
	if chance(s.r, 0.3) {
		kind, value := s.lookalike()
		m := s.say(s.other(), line{text: kind + " `" + value + "`", raw: true})
		s.truth.Lookalikes = append(s.truth.Lookalikes, Planted{kind, value, s.where.name, m.TS})
	}
}

// decorate pins, loses and deletes messages that the truth does not need.
func (s *scene) decorate() {
	if chance(s.r, 0.3) {
		s.msgs[0].PinnedTo = []string{s.where.id}
	}
	if s.threaded && len(s.idle) > 0 && chance(s.r, 0.25) {
		s.lost[s.idle[0]] = true
	}
}
