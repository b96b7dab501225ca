#!/bin/sh
# First process of a simulated machine, in mount, UTS and PID namespaces of its own. Arguments: its name, its directory,
# its control group. When it is killed, the kernel ends every process of the machine, and what they mounted goes with the
# last of them.
set -eu
name=$1 home=$2 group=$3
mount -t proc proc /proc
hostname "$name"

scratch=$home/scratch
mkdir -p "$scratch"
mount -t tmpfs tmpfs "$scratch"

# The root of each hierarchy of control groups is the machine's own group, so that all of its pods are found below that.
# The hierarchies themselves must go: runc takes the first mount that it finds.
cgroups=$scratch/cgroup
mkdir "$cgroups"
mount -t tmpfs tmpfs "$cgroups"
if [ -f /sys/fs/cgroup/cgroup.procs ]; then hierarchies=.; else hierarchies=$(ls /sys/fs/cgroup); fi
for hierarchy in $hierarchies; do
    top=/sys/fs/cgroup/$hierarchy
    [ -f "$top/cgroup.procs" ] || continue
    for made in "${group%/*}" "$group"; do
        above=$top${made%/*}
        if [ -f "$above/cgroup.controllers" ]; then # version 2
            for controller in $(cat "$above/cgroup.controllers"); do echo "+$controller" >"$above/cgroup.subtree_control"; done
        fi
        mkdir -p "$top$made"
        for file in cpuset.cpus cpuset.mems; do # of version 1; a group takes no process while they are empty
            if [ -f "$above/$file" ] && [ ! -f "$above/cgroup.controllers" ]; then cat "$above/$file" >"$top$made/$file"; fi
        done
    done
    mkdir -p "$cgroups/$hierarchy"
    mount --bind "$top$group" "$cgroups/$hierarchy"
done
umount --recursive --lazy /sys/fs/cgroup
mount --move "$cgroups" /sys/fs/cgroup

# What programs keep in the usual places stays in this machine: in memory, or in its directory.
for place in /etc /opt /var/lib /var/log; do
    mkdir -p "$scratch$place/upper" "$scratch$place/work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$scratch$place/upper,workdir=$scratch$place/work" "$place"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
while read -r place kept; do
    mkdir -p "$place" "$home/$kept"
    mount --bind "$home/$kept" "$place"
done <<END
/var/lib/kubelet kubelet
/var/lib/containerd containerd
/var/lib/cni cni
/var/log/pods pods
/etc/cni/net.d net.d
/etc/eni eni
/opt/cni/bin bin
${home%/*}/local local
END

# kubelet insists on these. The kernel is everybody's, so it is shown them, and finds nothing to change.
mkdir -p "$scratch/sysctl"
while read -r key value; do
    file=$scratch/sysctl/$(echo "$key" | tr / _)
    echo "$value" >"$file"
    mount --bind "$file" "/proc/sys/$key"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END


# Nor does it start where the processor has no clock speed, as in User-Mode Linux.
if ! grep -q "^cpu MHz" /proc/cpuinfo; then
    sed 's/^processor.*/&\ncpu MHz\t\t: 1000.000/' /proc/cpuinfo >"$scratch/cpuinfo"
    mount --bind "$scratch/cpuinfo" /proc/cpuinfo
fi

mount --make-rshared /
echo "machine ready"
# Orphans of the machine become our children: `wait` takes their exit status.
sleep infinity &
while :; do wait || true; done
