{{/*
Each mounted folder: the volume, its source, and the variables that lead to its files.
The template prints a YAML list of {name, path, writable, source, env}. deployment.yaml
makes the volumes, the mounts and the environment of it. No mount has a subPath: a file
that is mounted by subPath never changes.
*/}}
{{- define "osgate.mounts" -}}
{{- $values := .Values -}}
{{- $name := include "osgate.fullname" . -}}
{{- with $values.secretKeys }}
- name: secrets
  path: /etc/osgate/secrets
  env:
    {{- range $variable, $key := . }}
    {{ $variable }}_FILE: /etc/osgate/secrets/{{ $variable }}
    {{- end }}
  source:
    secret:
      secretName: {{ $values.existingSecret }}
      defaultMode: 0440
      items:
        {{- range $variable, $key := . }}
        - {key: {{ $key | quote }}, path: {{ $variable }}}
        {{- end }}
{{- end }}
{{- if or $values.policy.files $values.policy.existingConfigMap }}
- name: policy
  path: /etc/osgate/policy
  env:
    OSGATE_POLICY: /etc/osgate/policy
  source:
    configMap:
      name: {{ default (printf "%s-policy" $name) $values.policy.existingConfigMap }}
{{- end }}
{{- $sources := list }}
{{- $lists := dict }}
{{- range include "osgate.lists" . | fromYamlArray }}
{{- $value := get $values .value }}
{{- if or $value.entries $value.existingConfigMap }}
{{- $lists = set $lists (printf "%s_FILE" .variable) (printf "/etc/osgate/lists/%s" .key) }}
{{- $item := dict "key" .key "path" .key }}
{{- $map := default (printf "%s-lists" $name) $value.existingConfigMap }}
{{- $sources = append $sources (dict "configMap" (dict "name" $map "items" (list $item))) }}
{{- end }}
{{- end }}
{{- if $sources }}
- name: lists
  path: /etc/osgate/lists
  env:
    {{- toYaml $lists | nindent 4 }}
  source:
    projected:
      sources:
        {{- toYaml $sources | nindent 8 }}
{{- end }}
{{- with include "osgate.tlsSecret" . }}
- name: tls
  path: /etc/osgate/tls
  env:
    OSGATE_TLS_CERT: /etc/osgate/tls/tls.crt
    OSGATE_TLS_KEY: /etc/osgate/tls/tls.key
  source:
    secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $values.tls.clientCASecret }}
- name: client-ca
  path: /etc/osgate/client-ca
  env:
    OSGATE_TLS_CLIENT_CA: /etc/osgate/client-ca/ca.crt
  source:
    secret:
      secretName: {{ . }}
      defaultMode: 0440
      items:
        - {key: ca.crt, path: ca.crt}
{{- end }}
{{- with $values.admin.tls.existingSecret }}
- name: admin-tls
  path: /etc/osgate/admin-tls
  env:
    OSGATE_ADMIN_TLS_CERT: /etc/osgate/admin-tls/tls.crt
    OSGATE_ADMIN_TLS_KEY: /etc/osgate/admin-tls/tls.key
  source:
    secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if or $values.upstreamCA.existingConfigMap $values.upstreamCA.existingSecret }}
- name: upstream-ca
  path: /etc/osgate/upstream-ca
  env:
    OSGATE_UPSTREAM_CA: /etc/osgate/upstream-ca/ca.crt
  source:
    {{- if $values.upstreamCA.existingSecret }}
    secret:
      secretName: {{ $values.upstreamCA.existingSecret }}
      defaultMode: 0440
    {{- else }}
    configMap:
      name: {{ $values.upstreamCA.existingConfigMap }}
    {{- end }}
      items:
        - {key: {{ $values.upstreamCA.key | quote }}, path: ca.crt}
{{- end }}
{{- if $values.state.enabled }}
- name: state
  path: /data
  writable: true
  env:
    OSGATE_STATE_DIR: /data
  source:
    {{- if $values.state.existingClaim }}
    persistentVolumeClaim: {claimName: {{ $values.state.existingClaim }}}
    {{- else }}
    emptyDir: {sizeLimit: 1Gi}
    {{- end }}
{{- end }}
{{- end -}}

{{/* The environment of the gateway, a YAML list. */}}
{{- define "osgate.environment" -}}
{{- $name := include "osgate.fullname" . -}}
{{- $env := dict
  "OSGATE_LISTEN" ":8080"
  "OSGATE_ADMIN_LISTEN" (ternary ":8081" "127.0.0.1:8081" .Values.admin.service.enabled)
  "OSGATE_METRICS_LISTEN" ":8082"
  "OSGATE_REPLICAS" (include "osgate.replicas" .) -}}
{{- if .Values.osemu.enabled -}}
{{- $env = set $env "OSGATE_UPSTREAM_OVERRIDE" (printf "http://%s-osemu:8090" $name) -}}
{{- end -}}
{{- range $variable, $value := .Values.settings -}}
{{- $env = set $env $variable (include "osgate.text" $value) -}}
{{- end -}}
{{- range include "osgate.mounts" . | fromYamlArray -}}
{{- $env = merge $env .env -}}
{{- end -}}
{{- with .Values.httpsProxy -}}{{- $env = set $env "HTTPS_PROXY" . -}}{{- end -}}
{{- with .Values.noProxy -}}{{- $env = set $env "NO_PROXY" . -}}{{- end -}}
{{- range $variable, $value := $env }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
