package main

// keysCmd is everything about signing keys (docs/keys.md).
type keysCmd struct {
	Check keysCheckCmd `cmd:"" help:"Audit a live issuer and its verifiers, with nothing installed: what is unsound, who trusts which key, may the old one go?"`
	Watch keysWatchCmd `cmd:"" help:"Audit again and again, say what changes, and send it to a Prunella server as signals."`

	Status  keysStatusCmd  `cmd:"" help:"Show the keys of a rotation, who holds them, and what each gate answers."`
	Rotate  keysRotateCmd  `cmd:"" help:"Ask for a rotation now: the next key signs as soon as everybody is ready."`
	Promote keysPromoteCmd `cmd:"" help:"Make the waiting key the signer. Refused while somebody would not accept its tokens."`
	Return  keysReturnCmd  `cmd:"" help:"Make the previous key the signer again."`
	Retire  keysRetireCmd  `cmd:"" help:"Take a key out of service in order. Refused while somebody needs it."`
	Revoke  keysRevokeCmd  `cmd:"" help:"Take a key out at once. Says who breaks; needs --override when somebody does."`
	Confirm keysConfirmCmd `cmd:"" help:"Say that a manual verifier holds a key."`
	Forget  keysForgetCmd  `cmd:"" help:"Say that an instance serves no more, so that its silence blocks nothing."`
	Resume  keysResumeCmd  `cmd:"" help:"Let the schedule run again after it halted."`
	History keysHistoryCmd `cmd:"" help:"Show who did what, and on what grounds."`

	Serve keysServeCmd `cmd:"" help:"Run a rotation server: keys, key set, acknowledgements, webhooks, schedule."`
	Agent keysAgentCmd `cmd:"" help:"Keep the key file of a service current, prove that it was loaded, and acknowledge for it."`
}
