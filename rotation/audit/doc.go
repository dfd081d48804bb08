// Package audit looks at a live issuer and at its verifiers from outside, with
// nothing installed at either: is what the issuer publishes sound, would a
// verifier be left behind by the next rotation, who trusts which key now, and may
// the old key go?
//
//	r, err := audit.Run(ctx, audit.Config{
//		Issuer:    "https://id.example.com",
//		Verifiers: []audit.Verifier{{Name: "orders", URL: "https://orders.example.com/me"}},
//		Source:    &audit.Source{URL: "https://id.example.com/token", ID: "audit", Secret: secret},
//	})
//
// What a key set must be is package keyset's word (keyset.Inspect); what is added
// here are the reasons, one Finding each. Trust is shown, never read from a
// configuration: a verifier is asked without a token, which it must answer with
// 401, and with one. A token of the signer comes from Source; one of another key
// from Tokens, or from an earlier look of the same Watch.
//
// A verdict about removal is "yes" only when every verifier accepted a token of
// the signer and the last token of the old key is past. What could not be asked
// is "unknown", never "yes".
//
// Not here: changing anything (package rotation, package rotation/issuer).
package audit
