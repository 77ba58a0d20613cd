{{- define "zio-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "zio-gateway.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "zio-gateway.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "zio-gateway.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "zio-gateway.selector" -}}
app.kubernetes.io/name: {{ include "zio-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "zio-gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "zio-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "zio-gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "zio-gateway.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The addresses at which nodes find each other: those of all pods. */}}
{{- define "zio-gateway.join" -}}
{{- $name := include "zio-gateway.fullname" . }}
{{- $addresses := list }}
{{- range until (int .Values.replicas) }}
{{- $addresses = append $addresses (printf "%s-%d.%s-nodes.%s.svc:7577" $name . $name $.Release.Namespace) }}
{{- end }}
{{- toYaml $addresses }}
{{- end }}

{{/* The gateway's configuration: what the chart says, and over it what the values say. */}}
{{- define "zio-gateway.config" -}}
{{- $s := .Values.security }}
{{- $c := dict "grpc" "0.0.0.0:7575" "zmq-server" "tcp://0.0.0.0:5555" "zmq-router" "tcp://0.0.0.0:5556"
  "http" "0.0.0.0:7576" "public-http" true "node" "none" "log-format" "json"
  "drain-grace" (printf "%ds" (int .Values.drainSeconds)) }}
{{- $insecure := list }}
{{- if $s.identitiesSecret }}
{{- $_ := set $c "identities" "/etc/zio-gateway/identities/identities.yaml" }}
{{- end }}
{{- if $s.tlsSecret }}
{{- $_ := set $c "tls-cert" "/etc/zio-gateway/tls/tls.crt" }}
{{- $_ := set $c "tls-key" "/etc/zio-gateway/tls/tls.key" }}
{{- if ne $s.clientCertificates "none" }}
{{- $_ := set $c "tls-client-ca" "/etc/zio-gateway/tls/ca.crt" }}
{{- $_ := set $c "tls-client-auth" $s.clientCertificates }}
{{- end }}
{{- else if ne $s.clientCertificates "none" }}
{{- fail "security.clientCertificates needs security.tlsSecret" }}
{{- end }}
{{- if $s.curveSecret }}
{{- $_ := set $c "zmq-curve-key" "/etc/zio-gateway/curve/server.curve" }}
{{- end }}
{{- if not (and $s.identitiesSecret $s.tlsSecret) }}
{{- $insecure = append $insecure "grpc" }}
{{- end }}
{{- if not (and $s.identitiesSecret $s.curveSecret) }}
{{- $insecure = append $insecure "zmq" }}
{{- end }}
{{- if and $insecure (not $s.insecure) }}
{{- fail (printf "%s would serve everybody: name the Secrets in security (identitiesSecret, tlsSecret, curveSecret), or set security.insecure=true" (join " and " $insecure)) }}
{{- end }}
{{- if $s.insecureAdmin }}
{{- $insecure = append $insecure "admin" }}
{{- end }}
{{- if .Values.cluster.enabled }}
{{- $_ := set $c "cluster" .Values.cluster.name }}
{{- if .Values.cluster.keysSecret }}
{{- $_ := set $c "cluster-keys" "/etc/zio-gateway/cluster" }}
{{- else if .Values.cluster.insecure }}
{{- $insecure = append $insecure "cluster" }}
{{- else }}
{{- fail "cluster.keysSecret names the Secret with the nodes' keys; to do without, set cluster.insecure=true" }}
{{- end }}
{{- if .Values.cluster.nats }}
{{- $_ := set $c "cluster-nats" .Values.cluster.nats }}
{{- if .Values.cluster.natsCredsSecret }}
{{- $_ := set $c "cluster-nats-creds" "/etc/zio-gateway/nats/nats.creds" }}
{{- end }}
{{- else }}
{{- $_ := set $c "cluster-join" (include "zio-gateway.join" . | fromYamlArray) }}
{{- end }}
{{- end }}
{{- if $insecure }}
{{- $_ := set $c "insecure" $insecure }}
{{- end }}
{{- toYaml (mergeOverwrite $c (deepCopy .Values.config)) }}
{{- end }}

{{/* The folders in which the Secrets are. */}}
{{- define "zio-gateway.secrets" -}}
{{- $secrets := dict }}
{{- with .Values.security.identitiesSecret }}{{ $_ := set $secrets "identities" . }}{{ end }}
{{- with .Values.security.tlsSecret }}{{ $_ := set $secrets "tls" . }}{{ end }}
{{- with .Values.security.curveSecret }}{{ $_ := set $secrets "curve" . }}{{ end }}
{{- if .Values.cluster.enabled }}
{{- with .Values.cluster.keysSecret }}{{ $_ := set $secrets "cluster" . }}{{ end }}
{{- with .Values.cluster.natsCredsSecret }}{{ $_ := set $secrets "nats" . }}{{ end }}
{{- end }}
{{- toYaml $secrets }}
{{- end }}
