import Foundation
import Synchronization

/// Ends processes and removes directories when the test process ends, however it ends.
///
/// A small shell in a session of its own reads what there is to clean from a pipe, and acts at its end. (A parent-death
/// signal won't do: it fires when the *thread* that started a program ends, and test threads come and go.)
final class Minder: Sendable {
    static let shared = Result { try Minder() }

    private let writeEnd: Int32
    private let pid: pid_t
    private let isOpen = Mutex(true)

    private static let script = #"""
        trap '' HUP INT QUIT TERM
        directories=
        while read -r verb rest; do
            case $verb in
            process) eval "p_${rest% *}=${rest#* }" ;;
            gone) unset "p_$rest" ;;
            directory) directories="$directories$rest
        " ;;
            removed) directories=$(printf '%s' "$directories" | grep -vxF -- "$rest")"
        " ;;
            esac
        done
        for entry in $(set | sed -n "s/^p_\([0-9]*\)='\{0,1\}\([0-9]*\)'\{0,1\}\$/\1:\2/p"); do
            line=
            read -r line 2>/dev/null </proc/${entry%:*}/stat || continue
            set -- ${line##*) }
            [ "${20}" = "${entry#*:}" ] && kill -KILL "${entry%:*}"
        done
        printf '%s' "$directories" | while read -r directory; do
            case $directory in */lh-??????) ;; *) continue ;; esac
            for again in 1 2 3 4 5 6 7 8 9 10; do
                found=
                for file in $(printf '%s\n' "$directory" | grep -slaF -f - /proc/[0-9]*/environ); do
                    victim=${file#/proc/}
                    victim=${victim%/environ}
                    [ "$victim" = "$TESTS" ] || [ "$victim" = $$ ] && continue
                    kill -KILL "$victim" && found=1
                done
                [ -n "$found" ] || break
                sleep 0.02
            done
            while read -r device place rest; do
                case $place in "$directory"/*)
                    fsfreeze -u "$place"
                    umount -l "$place"
                    ;;
                esac
            done </proc/self/mounts
            rm -rf -- "$directory"
        done
        """#

    private init() throws {
        let pipe = try makePipe()
        let nowhere = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(pipe.readEnd)
            close(nowhere)
        }
        writeEnd = pipe.writeEnd
        pid = try spawn(
            path: "/bin/sh", arguments: ["sh", "-c", Self.script],
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TESTS=\(getpid())"],
            descriptors: [0: pipe.readEnd, 1: nowhere, 2: nowhere], newSession: true)
        atexit {
            if case .success(let minder) = Minder.shared { minder.finish() }
        }
    }

    func tell(_ message: String) {
        isOpen.withLock { isOpen in
            if isOpen { try? writeAll(Data((message + "\n").utf8), to: writeEnd) }
        }
    }

    /// Has everything cleaned now, so that nothing is left when the test runner goes on.
    private func finish() {
        isOpen.withLock { isOpen in
            if isOpen { close(writeEnd) }
            isOpen = false
        }
        _ = try? eventually(within: 10) {
            var status: Int32 = 0
            return waitpid(pid, &status, WNOHANG) != 0
        }
    }
}

func minder() throws -> Minder { try Minder.shared.get() }
