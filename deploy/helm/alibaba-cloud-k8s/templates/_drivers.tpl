{{/*
The drivers with a central controller that are switched on, as YAML.
short: as --driver says it. prefix: of volume names. port: the first of its sidecars' ports. privileged: its controller
mounts. qps, and the numbers of attachers, are those of the existing driver's chart.
*/}}
{{- define "ack.drivers" -}}
drivers:
  {{- if .Values.csi.disk.enabled }}
  - short: disk
    prefix: disk
    fstype: ext4
    port: 8080
    qps: 1000
    strictTopology: true
    attachFlags: [--worker-threads=1200, --timeout=30s]
    resizes: true
    snapshots: {{ .Values.snapshots.enabled }}
    privileged: false
  {{- end }}
  {{- if .Values.csi.nas.enabled }}
  - short: nas
    prefix: nas
    fstype: nfs
    port: 8090
    qps: 100
    strictTopology: {{ .Values.csi.nas.topology }}
    resizes: true
    snapshots: false
    privileged: true
  {{- end }}
  {{- if .Values.csi.oss.enabled }}
  - short: oss
    prefix: oss
    fstype: ossfs
    port: 8100
    qps: 100
    strictTopology: false
    {{- if .Values.csi.oss.attachRequired }}
    attachFlags: [--worker-threads=32]
    {{- end }}
    resizes: false
    snapshots: false
    privileged: false
  {{- end }}
  {{- if .Values.csi.cpfs.enabled }}
  - short: bmcpfs
    prefix: bmcpfs
    fstype: bmcpfs
    port: 8120
    qps: 500
    strictTopology: false
    attachFlags: [--worker-threads=256, --timeout=30s]
    resizes: true
    snapshots: false
    privileged: false
  {{- end }}
{{- end }}

{{/* Full name of a driver, and the same as leases have it. */}}
{{- define "ack.driverName" -}}{{ . }}plugin.csi.alibabacloud.com{{- end }}
{{- define "ack.leaseName" -}}{{ . }}plugin-csi-alibabacloud-com{{- end }}

{{/* Short names of the drivers that nodes serve in csi-plugin, between commas. */}}
{{- define "ack.nodeDrivers" -}}
{{- $names := list -}}
{{- with .Values.csi -}}
{{- if .disk.enabled }}{{ $names = append $names "disk" }}{{ end -}}
{{- if .nas.enabled }}{{ $names = append $names "nas" }}{{ end -}}
{{- if .oss.enabled }}{{ $names = append $names "oss" }}{{ end -}}
{{- if .cpfs.enabled }}{{ $names = append $names "bmcpfs" }}{{ end -}}
{{- if .cpfs.legacy }}{{ $names = append $names "cpfs" }}{{ end -}}
{{- end -}}
{{- join "," $names -}}
{{- end }}

{{/* The same of csi-local. */}}
{{- define "ack.localDrivers" -}}
local{{ if .Values.csi.lvm.legacy }},lvm{{ end }}
{{- end }}

{{/* Leases of the sidecars of the central drivers. */}}
{{- define "ack.leases" -}}
{{- $names := list -}}
{{- range (include "ack.drivers" . | fromYaml).drivers -}}
{{- $lease := include "ack.leaseName" .short -}}
{{- $names = append $names $lease -}}
{{- if .attachFlags }}{{ $names = append $names (printf "external-attacher-leader-%s" $lease) }}{{ end -}}
{{- if .resizes }}{{ $names = append $names (printf "external-resizer-%s" $lease) }}{{ end -}}
{{- if .snapshots }}{{ $names = append $names (printf "external-snapshotter-leader-%s" $lease) }}{{ end -}}
{{- end -}}
{{- toYaml $names -}}
{{- end }}
