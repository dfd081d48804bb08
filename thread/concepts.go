package thread

import "strings"

// concepts are wide classes of words that operators use, by name. One of them
// says little; what each is worth where it stands is fitted (see weights).
// A word may be of several.
var concepts = func() map[string][]string {
	out := map[string][]string{}
	for _, c := range []struct{ name, words string }{
		{"good", `green healthy health normal normally ok okay fine good clean stable steady flat quiet calm calmer recovered recovers recovery recovering restored working works worked flowing flows flow serving serves passing passes pass passed succeed succeeds succeeding succeeded success successful caught drained empty zero baseline nominal happy silent gone vanished disappeared settled holding holds held smooth responsive fast snappy reachable alive sane usual nice again back up better fits completes loads answering answers responding moving`},
		{"bad", `failing fails failed failure error errors down broken bad red slow timeout timeouts stuck still same worse high spike spiking climbing rising growing full persists nothing unchanged refused rejecting crash crashing looping lag lagging backlog alert firing hanging hung dead leak leaking lost missing denied unavailable degraded unhealthy again`},
		{"close", `resolved resolving resolve closed closing close over ended ending end finished finish concluded concluding done complete completed all-clear clear wrapped wrap wrapping calling declare declared declaring incident ticket severity sev status page statuspage downgrade downgraded bridge channel monitoring stand standing down case archive archiving`},
		{"bye", `thanks thank thx ty cheers night sleep bed lunch coffee dinner home bye later kudos props team everyone folks great work job nice awesome appreciate tea beer weekend well teamwork gg`},
		{"cause", `because cause causes caused due root culprit reason why turns turned since found explains explained explanation traced trace blame introduced origin result guilty bug regression typo misconfigured mismatch expired expires exhausted leaked leak leaks wrong stale missing limit removed changed never forgot forgotten leftover deadlock duplicate blocked blocking holds held hits hit ran overwrote dropped deleted old unset default only instead without points pointed pinned merged deployed upgraded rotated outdated rejected runs locks locked corrupted invalid drift mounted orphaned`},
		{"find", `found got aha ah bingo oh spotted see there interesting wow damn identified discovered noticed eureka figured understood know located pinpointed narrowed confirmed isolated smoking gun yes reproduced diagnosis diagnosed cause clue facepalm`},
		{"fix", `restart reboot bounce kick kill roll rollback revert deploy redeploy ship apply patch scale bump raise lower increase decrease reduce drain cordon evict delete remove purge flush clear clean wipe prune drop truncate vacuum rotate renew reissue reload replace swap switch failover repoint point move migrate restore rebuild recreate reset unlock release disable enable turn toggle unblock throttle limit cap free extend grow resize expand mount remount rebalance reassign resync replay requeue rerun retry stop start pause resume pin upgrade downgrade install push merge set unset change edit correct repair mend fix hotfix put add grant allow open cut shed route reroute redirect promote demote detach attach recycle trim bypass skip update import copy regenerate sign bring run`},
		{"past", `restarted rebooted bounced kicked killed rolled reverted deployed redeployed shipped applied patched scaled bumped raised lowered increased decreased reduced drained cordoned evicted deleted removed purged flushed cleared cleaned wiped pruned dropped truncated vacuumed rotated renewed reissued reloaded replaced swapped switched repointed pointed moved migrated restored rebuilt recreated reset unlocked released disabled enabled turned toggled unblocked throttled limited capped freed extended grown grew resized expanded mounted remounted rebalanced reassigned resynced replayed requeued reran retried stopped started paused resumed pinned upgraded downgraded installed pushed merged set unset changed edited corrected repaired mended fixed hotfixed put added granted allowed opened cut shed routed rerouted redirected promoted demoted detached attached recycled trimmed bypassed skipped updated imported copied regenerated signed brought ran failed-over`},
		{"doing", `restarting rebooting bouncing kicking killing rolling reverting deploying redeploying shipping applying patching scaling bumping raising lowering increasing decreasing reducing draining cordoning evicting deleting removing purging flushing clearing cleaning wiping pruning dropping truncating vacuuming rotating renewing reissuing reloading replacing swapping switching repointing pointing moving migrating restoring rebuilding recreating resetting unlocking releasing disabling enabling turning toggling unblocking throttling limiting capping freeing extending growing resizing expanding mounting rebalancing reassigning resyncing replaying requeueing rerunning retrying stopping starting pausing resuming pinning upgrading downgrading installing pushing merging setting changing editing correcting repairing fixing putting adding granting allowing opening cutting shedding routing rerouting redirecting promoting demoting detaching attaching running doing trying failing`},
		{"done", `done finished complete completed through live applied landed deployed rolled place in out merged ready active executed did went effect everywhere updated written saved accepted`},
		{"hedge", `maybe might may could probably perhaps suspect think guess seems seem looks possibly wonder wondering theory hunch likely feels smells bet sure if assume assuming hypothesis suspicious would should`},
		{"neg", `not no never none nothing nobody nope without neither isn't wasn't doesn't didn't don't can't won't aren't hasn't haven't nor`},
		{"future", `will i'll we'll going gonna about shall let's let lets try plan next would tomorrow later should want planning soon then after`},
		{"follow", `ticket todo follow-up followup follow-ups tomorrow week monday postmortem post-mortem runbook should alert document action item items retro review backlog jira permanent prevent proper long-term sprint filed`},
		{"recap", `summary recap timeline record tldr write-up writeup impact duration report lessons contributing`},
		{"verify", `checked verified verify confirm confirmed confirms tested test smoke synthetic synthetics dashboard graph graphs probe probes users user customers customer report reports metrics p99 p95 rate seeing see login checkout order orders requests traffic queue latency`},
		{"look", `look looking checking check dig digging investigate investigating logs reading describe trace tracing dump dashboard graph inspect poking`},
		{"claim", `mine taking take got looking handle own on-call oncall ack acked`},
		{"watch", `watching watch monitor monitoring eye wait waiting soak leave bake observe hold observing keep keeping`},
		{"relief", `phew finally yay hooray great wonderful relief whew nice lovely perfect excellent sweet beautiful there`},
		{"now", `now again finally back already all everything everywhere fully`},
		{"partial", `some few partly slowly coming dropping falling draining recovering improving better down halfway progress mostly starting nearly almost trickle`},
		{"so", `so ok okay right therefore which that's it's`},
	} {
		for w := range strings.FieldsSeq(c.words) {
			out[w] = append(out[w], c.name)
		}
	}
	return out
}()
