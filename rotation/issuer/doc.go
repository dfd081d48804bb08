// Package issuer lets the gates of package rotation guard issuers that another
// program runs, so that a team keeps its Auth0 or Keycloak and gets the same
// refusals, with the same names.
//
//	o, err := issuer.Open(issuer.Config{Kind: "keycloak", URL: "https://id.example.com/realms/shop", ClientID: "rotator", ClientSecret: s})
//	d, err := issuer.NewDesk(ctx, issuer.DeskConfig{Issuer: "https://id.example.com/realms/shop", At: o, Store: store, Verifiers: fleet})
//	mux.Handle("/keys/", http.StripPrefix("/keys", d.API(who)))
//
// An Observer reads which keys there are and which signs; a Driver also changes
// that. A Desk keeps what was seen in a rotation.Store, so that it knows since
// when a key is published and until when it signed, takes the acknowledgements of
// verifiers, asks the gates, and only then has the Driver act. What it means to
// do stands in the audit trail before it is done.
//
//	kind        observes   drives
//	oidc        yes        no         any issuer with discovery; a client tells the signer
//	auth0       yes        yes        Management API: rotate, revoke; it always has a next key
//	keycloak    yes        yes        admin REST: key provider components, by priority, active, enabled
//	dex         yes        no         the first key of its set signs
//	kubernetes  yes        no         service account tokens; /openid/v1/jwks of the API server
//
// What such an issuer cannot do is said plainly: nobody can sign a canary with a
// key that Auth0 or Keycloak holds back, so a next key is acknowledged here and
// not proven, and the blocker not-proven is left out of its gate. Nobody watches
// after a promotion either: `prunella keys watch` does that.
//
// Not here: waiting and scheduling (package rotation does that for its own keys).
package issuer
