{{/* StorageClasses of the drivers that are switched on, as YAML. Names and parameters can never change: claims name them. */}}
{{- define "ack.classes" -}}
{{- $private := .Values.classes.privateCloud -}}
classes:
  {{- if and .Values.classes.storage .Values.csi.disk.enabled }}
  - name: alicloud-disk-topology-alltype
    driver: disk
    parameters: {type: "cloud_essd,cloud_ssd,cloud_efficiency{{ if $private }},cloud_sperf,cloud_pperf{{ end }}"}
    binding: WaitForFirstConsumer
  - name: alicloud-disk-essd
    driver: disk
    parameters: {type: cloud_essd}
    binding: Immediate
  - name: alicloud-disk-ssd
    driver: disk
    parameters: {type: cloud_ssd}
    binding: Immediate
  - name: alicloud-disk-efficiency
    driver: disk
    parameters: {type: cloud_efficiency}
    binding: Immediate
  {{- if $private }}
  - name: alicloud-disk-cloud-sperf
    driver: disk
    parameters: {type: cloud_sperf}
    binding: Immediate
  - name: alicloud-disk-cloud-pperf
    driver: disk
    parameters: {type: cloud_pperf}
    binding: Immediate
  {{- end }}
  {{- end }}
  {{- if and .Values.classes.storage .Values.csi.lvm.enabled }}
  - name: csi-local-lvm
    driver: local
    parameters: {volumeType: LVM, vgName: {{ .Values.classes.localVolumeGroup }}, lvmType: striping, fsType: ext4}
    binding: WaitForFirstConsumer
  {{- end }}
{{- end }}
