// Package mcp lets other people's tools read what Prunella knows: a server of
// the Model Context Protocol, over standard input and output or over streamable
// HTTP.
//
//	resources   prunella://skills/NAME (the Markdown of a skill), prunella://incidents/ID (JSON)
//	tools       search_skills, read_skill, match_incident_text, list_incidents, read_incident, propose_run
//
// It is a client of the HTTP API like the command line and holds nothing itself:
// what a tool asks for passes the same checks as everybody else's request. The
// one tool that changes anything, propose_run, opens a question to a person;
// there is no tool that answers one. Hints (read-only, destructive) tell a
// client what to expect; what is allowed is decided in the server.
//
// An error of a tool is an answer that the model can read, with what to do next.
// Prompts, roots, sampling and logging are not used. docs/mcp.md tells how to
// configure a client.
package mcp
