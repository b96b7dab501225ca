#!/bin/sh
# The first process of the lab's guest. tools/lab.py starts it, with LAB_ROOT, the project's directory,
# and LAB_DIR: command (what to run), keep (directories that stay writable), status (written here).
set -e
# Without sync, which could wait for a dead NFS server. This is the only way out.
trap 'busybox poweroff -n -f' EXIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
modules=/usr/lib/uml/modules/$(uname -r)
insmod "$modules/kernel/fs/overlayfs/overlay.ko"

# The machine's root is the lower layer, what the guest writes is in memory.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/bare
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
mount --bind /mnt/root /mnt/bare
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm lib/modules
mount -t devpts devpts dev/pts
for place in dev/shm run tmp var/lib/nfs; do mount -t tmpfs tmpfs "$place"; done
if [ ! -d ".$LAB_ROOT" ]; then # it is in /tmp, say
    mkdir -p ".$LAB_ROOT"
    mount --bind "/mnt/bare$LAB_ROOT" ".$LAB_ROOT"
fi
mkdir run/machine
pivot_root . run/machine
umount -l /run/machine
rmdir /run/machine
mkdir -p /run/lab /run/lock /run/rpcbind /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery
mount -t hostfs -o "$LAB_DIR" none /run/lab
while read -r place; do
    mkdir -p "$place"
    mount -t hostfs -o "$place" none "$place"
done </run/lab/keep

ln -sfn "$modules" "/lib/modules/$(uname -r)"
# Others are loaded when they are asked for.
modprobe -a loop fuse dm-mod
ip link set lo up
hostname lab
# There is no udevd, so that LVM and dmsetup make device nodes themselves. And a dmeventd would
# outlive the test that had it started.
cat >/etc/lvm/lvmlocal.conf <<END
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" }
END

set +e
export DM_DISABLE_UDEV=1
setsid -cw sh /run/lab/command </dev/tty1 >/dev/tty1 2>&1
echo $? >/run/lab/status
stty -F /dev/tty1 sane # returns when all is written
