package thread

import (
	"strings"

	"prunella/thread/pattern"
)

var (
	readPrograms = setOf(`diff fio crontab dig nslookup host ping traceroute mtr ss netstat lsof tcpdump nc telnet arp grep egrep zgrep tail cat head less ls df du free top htop iotop iostat vmstat sar ps pgrep journalctl dmesg uptime date strace perf gdb jstack jmap jps jq yq stern logcli promtool lsblk smartctl mailq ncdu watch echo printf kcat kafkacat kafka-console-consumer pgbench ethtool wc sort awk find named-checkzone mysqlbinlog env export cd source time ldapsearch postqueue`)
	readVerb     = pattern.MustCompile(`^(?:get|describe|logs?|list|ls|show|status|top|diff|explain|version|history|info|stats?|ps|inspect|events?|tail|cat|view|check|whoami|cluster-info|config|api-resources|auth|is-active|is-enabled|list-\w+|describe-\w+|get-\w+|head-\w+|lookup-\w+|filter-\w+|plan|output|validate|state|find|search|grep|members|lag|tpstats|cfstats|tablestats|ring|netstats|list_\w+|report|fsck|healthcheck|dump|blame|log|health|endpoint|proxy-status|read|query|\w+-status|summary|history|locks?|analyze|wait)$`)
	readArgs     = pattern.MustCompile(`\s(?:--describe|--list|--dry-run\S*|--version|--help|-V|s_client|x509|rollout status|rollout history)\b`)
	curlWrites   = pattern.MustCompile(`\s(?:-X\s*|--request[= ])(?:POST|PUT|PATCH|DELETE)|\s(?:-d|--data\S*|-F)\s`)
	verbFirst    = setOf(`kubectl k oc helm docker podman systemctl service git gh glab consul nomad vault argocd flux istioctl terraform tofu rabbitmqctl nodetool etcdctl supervisorctl pm2 velero patronictl zfs zpool doctl heroku fly flyctl nats rpk cockroach ctr crictl nerdctl docker-compose airflow chronyc timedatectl resolvectl auth0 celery hdfs`)
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
	fields := strings.Fields(cmd)
	if len(fields) == 0 || readArgs.MatchString(cmd) && !strings.Contains(cmd, ">") {
		return false
	}
	program := fields[0]
	if inner := innerCommand(cmd); inner != "" {
		return snippet{inner, s.lang, s.kind}.changes()
	}
	switch {
	case program == "find", program == "ip":
		return strings.Contains(cmd, "-delete") || strings.Contains(cmd, "-exec rm") || strings.Contains(cmd, " add") || strings.Contains(cmd, " del")
	case program == "echo" || program == "printf" || program == "cat" || program == "awk":
		return strings.Contains(cmd, ">") || strings.Contains(cmd, "| sudo tee")
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
	verbs := 0
	for _, w := range fields[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		verbs++
		if readVerb.MatchString(w) {
			return false
		}
		if verbFirst[program] && verbs >= 2 || verbs >= 3 {
			break
		}
	}
	return true
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
