{{/*
A sidecar. Takes (dict "root" $ "name" NAME "image" IMAGE "socket" PATH "port" PORT "user" UID "flags" LIST "dir" DIR "qps" QPS).
port 0 = no health page, and no leader to be elected. The socket is its owner's alone, so user is csi-plugin's.
*/}}
{{- define "ack.sidecar" -}}
- name: {{ .name }}
  {{- include "ack.imageOf" . | nindent 2 }}
  args:
    - --csi-address={{ .socket }}
    - --v={{ .root.Values.logging.verbosity }}
    {{- if .port }}
    - --leader-election
    - --http-endpoint=:{{ .port }}
    {{- end }}
    - --kube-api-qps={{ .qps }}
    - --kube-api-burst={{ mul 2 .qps }}
    {{- range .flags }}
    - {{ . }}
    {{- end }}
  {{- with .env }}
  env: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if .port }}
  ports: [{name: {{ printf "http-%v" .port }}, containerPort: {{ .port }}}]
  livenessProbe:
    httpGet: {path: /healthz/leader-election, port: {{ .port }}}
    initialDelaySeconds: 10
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 3
  {{- end }}
  {{- include "ack.unprivileged" .user | nindent 2 }}
  resources: {{ toYaml .root.Values.controller.sidecarResources | nindent 4 }}
  volumeMounts:
    - {name: sockets, mountPath: {{ .dir }}}
{{- end }}

{{/* All sidecars of a central driver. Takes (dict "root" $ "driver" DRIVER). */}}
{{- define "ack.sidecars" -}}
{{- $images := .root.Values.images -}}
{{- $driver := .driver -}}
{{- $user := ternary 0 65532 $driver.privileged -}}
{{- $port := int $driver.port -}}
{{- $socket := printf "/csi/%s.sock" (include "ack.driverName" $driver.short) -}}
{{- $qps := int (.root.Values.controller.kubeApiQps | default $driver.qps) -}}
{{- $common := dict "root" .root "socket" $socket "user" $user "dir" "/csi" "qps" $qps -}}
{{- include "ack.sidecar" (merge (dict "name" (printf "%s-provisioner" $driver.short) "image" $images.provisioner "port" $port "flags" (list
    (printf "--volume-name-prefix=%s" $driver.prefix)
    (printf "--default-fstype=%s" $driver.fstype)
    (printf "--strict-topology=%t" $driver.strictTopology)
    "--extra-create-metadata=true" "--timeout=150s" "--retry-interval-start=500ms")) $common) }}
{{- if $driver.attachFlags }}
{{ include "ack.sidecar" (merge (dict "name" (printf "%s-attacher" $driver.short) "image" $images.attacher "port" (add $port 1) "flags" $driver.attachFlags) $common) }}
{{- end }}
{{- if $driver.resizes }}
{{ include "ack.sidecar" (merge (dict "name" (printf "%s-resizer" $driver.short) "image" $images.resizer "port" (add $port 2) "flags" (list
    "--handle-volume-inuse-error=false" "--extra-modify-metadata" "--resize-timeout=60s" "--modify-timeout=60s")) $common) }}
{{- end }}
{{- if $driver.snapshots }}
{{- $prefix := printf "alibabacloud-%s" $driver.prefix }}
{{ include "ack.sidecar" (merge (dict "name" (printf "%s-snapshotter" $driver.short) "image" $images.snapshotter "port" (add $port 3) "flags" (list
    "--extra-create-metadata" (printf "--feature-gates=CSIVolumeGroupSnapshot=%t" .root.Values.snapshots.groups) "--timeout=150s"
    (printf "--snapshot-name-prefix=%s" $prefix) (printf "--groupsnapshot-name-prefix=%s" $prefix))) $common) }}
{{- end }}
{{- end }}
