# confined.sh USER WRITABLE PYTHON CODE COMMAND...: runs a command as the chart's containers run: the machine's file system read-only, but for the
# directories of WRITABLE (between colons), which are empty and in memory. USER 0 stays privileged, another one has no capability.
# CODE, the directory of our packages, is seen in any case, read-only: a checkout may be below a directory of WRITABLE.
# PYTHON may be in a home directory: USER may pass through its parents, in the copy. To be called in a mount namespace of its own, with which
# all of this goes.
set -eu
user=$1 writable=$2 python=$3 code=$4
shift 4
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
for each in proc sys dev; do mount --rbind "/$each" "/mnt/root/$each"; done
IFS=:
for each in $writable; do
    mkdir -p "/mnt/root$each"
    mount -t tmpfs -o mode=1777 none "/mnt/root$each"
done
unset IFS
mkdir -p "/mnt/root$code"
mount --bind "$code" "/mnt/root$code"
mount -o remount,ro,bind "/mnt/root$code"
parent=$(dirname "$(readlink -f "$python")")
while [ "$parent" != / ]; do
    chmod o+x "/mnt/root$parent"
    parent=$(dirname "$parent")
done
mount -o remount,ro,bind /mnt/root
[ "$user" = 0 ] && exec chroot /mnt/root "$@"
exec chroot /mnt/root setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
