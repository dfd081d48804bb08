// Package export writes skills for other people's tools: folders of the Agent
// Skills open standard (agentskills.io) for coding agents, and CACAO 2.0
// playbooks (OASIS) for security orchestration.
//
// The text of a skill is not rewritten: agents get the page itself, with the
// blocks that only Prunella runs moved to a reference file, and CACAO gets each
// step as a command for a person. What the targets cannot express stays in the
// skill file, which both name.
//
// ValidateAgentSkill and ValidatePlaybook hold the published rules, so that what
// is written here, and what others wrote, can be checked without their tools.
package export
