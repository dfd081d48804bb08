package thread

import (
	"strings"

	"prunella/thread/pattern"
)

// What only looks. Programs are the reading half of the man pages of
// diagnosis: files, processes, networks, kernels, queues, probes. Verbs are
// those that command lines of clusters, clouds, brokers and databases use for
// looking, alone or at either end of a compound ("cluster_status", "list-keys").
var (
	readPrograms    = setOf(`diff cmp fio dig host nslookup drill whois ping ping6 fping hping3 traceroute tracepath mtr ss netstat lsof fuser tcpdump tshark nc ncat telnet arp arping iperf iperf3 nmap grep egrep fgrep zgrep rg ag tail cat bat tac head less more zcat zless ls ll tree stat file du df free top htop atop iotop iostat vmstat mpstat pidstat sar dstat nload iftop nethogs ps pstree pgrep pidof journalctl dmesg uptime w who last lastlog date cal strace ltrace perf gdb bpftrace jstack jmap jps jstat jinfo py-spy rbspy pprof jq yq xq stern logcli promtool amtool lsblk blkid lspci lsusb lscpu lsmod smartctl mailq ncdu watch echo printf kcat kafkacat kafka-console-consumer kafka-dump-log pgbench pgbadger pt-query-digest ethtool wc sort uniq cut tr column awk find which whereis type readlink realpath md5sum sha256sum cksum xxd hexdump strings objdump nm ldd named-checkzone named-checkconf mysqlbinlog env printenv export cd pwd source time id groups getent ldapsearch qshape swaks k6 hey wrk vegeta ab siege curlie httpstat openssl-verify testssl.sh nvidia-smi ipmitool chronyc ntpq ntpstat ioping showmount nfsstat getfacl lsattr crontab ausearch sestatus conntrack ipvsadm-save trivy grype syft dive cqlsh-describe redis-benchmark`)
	readWords       = `get|gets|describe|logs?|list|ls|show|status|stat|stats|statistics|state|states|top|diff|compare|explain|version|versions|history|info|about|ps|inspect|events?|tail|cat|head|view|check|checks|whoami|cluster-info|api-resources|auth|is-active|is-enabled|is-failed|plan|output|outputs|validate|verify|lint|find|search|grep|members?|lag|tpstats|cfstats|tablestats|ring|netstats|report|reports|fsck|health|healthcheck|dump|blame|log|endpoint|endpoints|proxy-status|proxy-config|log-tail|read|query|queries|summary|locks?|analyze|wait|lookup|trace|doctor|debug|monitor|peek|count|print|ping|test|tree|usage|metrics?|overview|preview|export|fetch|scan|filter|examine|trail|problems?|alerts?|describe-\w+|observe|tap|sniff|capture|sample|spy|snoop|bindings|connections|consumers|channels|queues|who|audit`
	readVerb        = pattern.MustCompile(`^(?:` + readWords + `)$|^\\[a-z]+\+?$`)
	readCompound    = pattern.MustCompile(`^(?:get|list|describe|head|lookup|filter|show|check|batch-get|search|query|view|is|has)[-_][\w-]+$|^[\w-]+(?:_(?:status|stats?|info|health|list|check|report|running|lag|show|history|summary|state|usage|alive|ready)|-(?:status|stats|info|health|list))$`)
	changeVerb      = pattern.MustCompile(`^(?:put|create|delete|update|set|modify|attach|detach|enable|disable|start|stop|reboot|restart|terminate|run|invoke|register|deregister|add|remove|tag|untag|restore|promote|failover|reset|revoke|authorize|associate|disassociate|cancel|purge|send|publish|change|apply|import|copy|move|replace|rotate|renew|scale|resize|clear|flush|drop|kill|reload|rebuild|resume|pause|suspend|drain|evict)[-_]\w+`)
	readArgs        = pattern.MustCompile(`\s(?:--describe|--list(?:-\w+)?|--dry-run\S*|--help|--simulate|--show\S*|s_client|x509|asn1parse|rollout status|rollout history|configtest)(?:\s|=|$)|\s(?:--version|-V|--check|--status|--verify|--diff)$|^(?:nginx|httpd|apachectl|apache2ctl|haproxy|sshd|named|unbound|postfix|squid|varnishd|logrotate) (?:-t|-c|-T|check|-d)\b`)
	curlWrites      = pattern.MustCompile(`\s(?:-X\s*|--request[= ])(?:POST|PUT|PATCH|DELETE)|\s(?:-d|--data\S*|-F|-T|--upload-file)\s`)
	pulls           = setOf(`crictl docker podman nerdctl ctr oras`) // an image that comes down changes nothing that runs
	resets          = setOf(`nvidia-smi ethtool chronyc ipmitool journalctl crontab conntrack dmesg date smartctl fuser nvme`)
	resetWords      = pattern.MustCompile(`(?i)\b(?:reset|makestep|burst|vacuum-\w+|-rgc|-pl|-pm|gpu-reset|--rotate|-K|--set|power (?:cycle|reset|on|off)|online|offline)\b`)
	writesWhatComes = pattern.MustCompile(`^(?:sudo )?(?:(?:kubectl|k|oc)\s.*\b(?:apply|replace|create|delete|patch)\b|xargs\s.*\b(?:kill|rm|unlink|del|delete|restart|drop|stop|terminate|purge)\b|tee\b|psql\b|mysql\b|sh\b|bash\b|ssh\b|docker load|crontab -|redis-cli\b|vault write|etcdctl put|consul kv put|nats pub|kafka-console-producer)`)
	ipWrites        = pattern.MustCompile(`\s(?:add|del|delete|change|replace|append|flush|set|restore)\s`)
	evalWrites      = pattern.MustCompile(`(?i)\b(?:insert|update|delete|remove|drop|reconfig|stepDown|kill\w*|shutdown\w*|create|compact|reIndex|freeze|initiate|add|fsync\w*|repair\w*|set\w*|enable\w*|disable\w*|start\w*|stop\w*|move\w*|flush\w*|resync|split\w*)\s*\(`)
	payload         = pattern.MustCompile(`^(?:echo|printf)\s+(?:-\S+\s+)*(["'])(.*?)["']\s*\|\s*(?:sudo )?(?:socat|nc|ncat|redis-cli|mysql|psql|varnishadm|etcdctl)\b`)
)

// changes reports whether a command does something to the world rather than
// look at it. What is not known to look only is taken to change.
func (s snippet) changes() bool {
	switch s.kind {
	case KindConfig:
		return true
	case KindQuery, kindOutput:
		return false
	}
	if s.lang == "sql" || s.lang == "redis" || s.lang == "js" {
		return true
	}
	cmd := bare(s.text)
	if head, rest, piped := strings.Cut(outsideQuotes(cmd), " | "); piped && !payload.MatchString(cmd) {
		for part := range strings.SplitSeq(rest, " | ") {
			if writesWhatComes.MatchString(strings.TrimSpace(part)) {
				return true
			}
		}
		cmd = cmd[:len(cmd)-len(strings.TrimPrefix(outsideQuotes(cmd), head))]
		cmd = strings.TrimSpace(cmd)
	}
	fields := strings.Fields(cmd)
	if len(fields) == 0 || readArgs.MatchString(cmd) && !strings.Contains(cmd, ">") {
		return false
	}
	if strings.Contains(cmd, "_requeue_false") {
		return true // messages are taken off the queue
	}
	program := fields[0]
	if inner := innerCommand(cmd); inner != "" {
		return snippet{inner, s.lang, s.kind}.changes()
	}
	switch {
	case program == "mongosh" || program == "mongo":
		return !strings.Contains(cmd, "--eval") || evalWrites.MatchString(cmd)
	case program == "jcmd":
		return strings.Contains(cmd, "GC.run") || strings.Contains(cmd, "VM.set_flag")
	case program == "postqueue":
		return strings.Contains(cmd, " -f") || strings.Contains(cmd, " -i") || strings.Contains(cmd, " -s")
	case program == "ip":
		return ipWrites.MatchString(cmd)
	case program == "find":
		return strings.Contains(cmd, "-delete") || strings.Contains(cmd, "-exec rm")
	case payload.MatchString(cmd):
		return !readVerb.MatchString(firstWord(payload.FindStringSubmatch(cmd)[2]))
	case program == "echo" || program == "printf" || program == "cat" || program == "awk":
		return strings.Contains(cmd, ">") || strings.Contains(cmd, "| sudo tee")
	case resets[program]:
		return resetWords.MatchString(cmd)
	case readPrograms[program]:
		return strings.Contains(cmd, "xargs kill") || strings.Contains(cmd, "xargs rm") || strings.Contains(cmd, "xargs kubectl delete")
	case program == "curl" || program == "wget" || program == "http" || program == "grpcurl":
		return curlWrites.MatchString(cmd)
	case program == "psql" || program == "mysql" || program == "clickhouse-client" || program == "cqlsh" || program == "sqlite3" || program == "sqlcmd":
		q := quotedText.FindString(cmd)
		q = strings.Trim(q, `"'`)
		return sqlWrite.MatchString(q) || sqlCalls.MatchString(q) || strings.Contains(cmd, " -f ") || strings.Contains(cmd, " < ")
	case program == "redis-cli" || program == "valkey-cli":
		return regexpKV.MatchString(cmd)
	case program == "openssl" || program == "keytool":
		return strings.Contains(cmd, "req ") || strings.Contains(cmd, "-import")
	case program == "kill" || program == "pkill":
		return !strings.Contains(cmd, " -0 ")
	case program == "ssh":
		return !strings.ContainsAny(cmd, "'\"") || strings.Contains(cmd, "restart") || strings.Contains(cmd, " rm ")
	}
	if pulls[program] && len(fields) > 1 && fields[1] == "pull" {
		return false
	}
	if q := strings.Trim(quotedText.FindString(cmd), `"'`); sqlRead.MatchString(q) || sqlWrite.MatchString(q) {
		return sqlWrite.MatchString(q) || sqlCalls.MatchString(q)
	}
	verbs := 0
	for i, w := range fields[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		if strings.HasPrefix(fields[i], "-") && !readVerb.MatchString(w) && !deedBase[w] {
			continue // the value of a flag
		}
		verbs++
		if deedBase[w] && !(i+2 < len(fields) && readVerb.MatchString(fields[i+2])) || w == "config" && strings.Contains(cmd, " config set ") {
			return true
		}
		if changeVerb.MatchString(w) && verbs < 3 {
			return true
		}
		if readVerb.MatchString(w) || w == "config" || verbs < 3 && readCompound.MatchString(w) {
			return false
		}
		if at := strings.LastIndexByte(w, ':'); at > 0 && readVerb.MatchString(w[at+1:]) { // remoteconfig:get
			return false
		}
		if verbs >= 3 {
			break
		}
	}
	return true
}

// surely reports a command whose verb is one of doing.
func (s snippet) surely() bool {
	if s.kind == KindConfig || s.lang == "sql" {
		return true
	}
	for i, w := range strings.Fields(bare(s.text)) {
		if i > 0 && i < 5 && (deedBase[w] && w != "run" || changeVerb.MatchString(w)) {
			return true
		}
	}
	return false
}

var (
	execInner = pattern.MustCompile(`(?s)^(?:kubectl|k|oc)\s.*?\bexec\b.*?\s--\s+(.+)$|^(?:docker|podman)\s+exec\s+(?:-\S+\s+)*\S+\s+(.+)$|^ssh\s+(?:-\S+\s+)*\S+\s+["']?(.+?)["']?$`)
)

// innerCommand is what a command runs elsewhere.
func innerCommand(cmd string) string {
	m := execInner.FindStringSubmatch(cmd)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(m[1] + m[2] + m[3])
}
