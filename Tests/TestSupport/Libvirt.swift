import Foundation

/// A private libvirtd with libvirt's own sanlock plugin, on a host that a sanlock daemon is. Needs root.
///
/// It lives in a mount namespace of its own, in which `/run`, `/etc/libvirt`, `/var/lib/libvirt`, `/var/cache/libvirt`
/// and `/var/log/libvirt` are folders of its scratch directory and there are no control groups, and has no driver but
/// QEMU's: any number of them run beside each other and beside the machine's own, without a trace. It and its QEMUs end
/// with the directory.
///
/// All calls block: starting takes 0.2 s, and 3 s more where the plugin has to join the lockspace (io timeout 1).
public final class LibvirtHost: Sendable {
    /// The sanlock daemon that the plugin speaks to.
    public let daemon: SanlockDaemon
    /// The plugin's `disk_lease_dir`.
    public let leaseDirectory: String
    /// Its `qemu-sanlock.conf`: Debian's own, with this host's settings at the end.
    public let configurationPath: String
    private let folder: String
    private let program: RunningProgram

    /// Starts one, and waits until it answers.
    ///
    /// - Parameters:
    ///   - daemon: joined or not; where it isn't, the plugin makes and joins the lockspace.
    ///   - scratch: holds all of its files, and ends it.
    public init(
        _ daemon: SanlockDaemon, hostID: Int, leaseDirectory: String, ioTimeout: Int = 1, in scratch: Scratch
    ) throws {
        guard getuid() == 0 else { throw TestFailure("libvirtd in a mount namespace of its own needs root") }
        guard !scratch.path.hasPrefix("/run/") else {
            throw TestFailure("libvirtd's /run would hide \(scratch.path); set TMPDIR to somewhere else")
        }
        self.daemon = daemon
        self.leaseDirectory = leaseDirectory
        let name = "v\(hostID)-\(UUID().uuidString.prefix(4))"
        folder = scratch.file(name)
        for part in ["drivers", "etc", "run/libvirt", "lib", "cache/qemu/capabilities", "log", "tmp"] {
            try scratch.directory("\(name)/\(part)")
        }
        let shipped = "/etc/libvirt/qemu-sanlock.conf"
        guard let sample = FileManager.default.contents(atPath: shipped) else {
            throw TestFailure("\(shipped) can't be read; is libvirt-sanlock installed?")
        }
        let settings = """

            auto_disk_leases = 1
            disk_lease_dir = "\(leaseDirectory)"
            host_id = \(hostID)
            io_timeout = \(ioTimeout)

            """
        configurationPath = try scratch.write(
            String(decoding: sample, as: UTF8.self) + settings, to: "\(name)/etc/qemu-sanlock.conf")
        try scratch.write(Self.daemonSettings, to: "\(name)/etc/libvirtd.conf")
        try scratch.write(Self.emulatorSettings, to: "\(name)/etc/qemu.conf")

        // TMPDIR is what libvirtd hands on to its QEMUs: by it they are found and killed with the scratch directory.
        var environment = daemon.environment
        environment["TMPDIR"] = "\(folder)/tmp"
        environment["LIBVIRT_DRIVER_DIR"] = "\(folder)/drivers"
        environment["LC_ALL"] = "C"
        var program = Program(
            "unshare",
            [
                "--mount", "--propagation", "private", "sh", "-c", Self.script, "sh", folder,
                try Self.capabilities.get().path,
            ], environment: environment, directory: folder)
        program.output = .null
        program.errors = .file("\(folder)/libvirtd.log")
        // The shell reaps the QEMUs, which libvirtd daemonizes; the machine's init might take its time.
        program.inheritance.moreOptions = ["--child-subreaper"]
        self.program = try scratch.start(program)
        do {
            try waitUntilItAnswers()
        } catch {
            self.program.end()
            throw TestFailure("\(error); its log: \(log)")
        }
    }

    /// What libvirtd knows of each emulator it has found out by running it, for two seconds and more. The next libvirtd
    /// believes it, if version and time stamps are the same.
    private static let capabilities = Result { try Scratch() }

    private static let script = #"""
        set -e
        mount --bind "$2" "$1/cache/qemu/capabilities"
        mount --rbind "$1/cache" /var/cache/libvirt
        mount --bind "$1/etc" /etc/libvirt
        mount --bind "$1/lib" /var/lib/libvirt
        mount --bind "$1/log" /var/log/libvirt
        mount --bind "$1/run" /run
        ! mountpoint -q /sys/fs/cgroup || umount -R -l /sys/fs/cgroup
        for driver in /usr/lib*/libvirt/connection-driver /usr/lib/*/libvirt/connection-driver; do
            [ ! -e "$driver/libvirt_driver_qemu.so" ] || ln -s "$driver/libvirt_driver_qemu.so" "$1/drivers"
        done
        libvirtd -f /etc/libvirt/libvirtd.conf -p "$1/libvirtd.pid" &
        wait
        """#

    private static let daemonSettings = """
        unix_sock_rw_perms = "0700"
        auth_unix_ro = "none"
        auth_unix_rw = "none"
        log_level = 3
        log_outputs = "3:stderr"

        """

    private static let emulatorSettings = """
        lock_manager = "sanlock"
        user = "root"
        group = "root"
        security_driver = "none"
        namespaces = []
        cgroup_controllers = []
        stdio_handler = "file"
        remember_owner = 0

        """

    private var socket: String { "\(folder)/run/libvirt/libvirt-sock" }

    private func waitUntilItAnswers() throws {
        try eventually(within: 20, every: 5, "the socket of libvirtd") {
            guard program.isRunning else { throw TestFailure("\(program) ended") }
            guard let descriptor = try connectUnixSocket(socket) else { return false }
            close(descriptor)
            return true
        }
        try virsh("uri", timeout: 60).expecting(.exit(0))
    }

    /// All that it has logged.
    public var log: String { (try? String(contentsOfFile: "\(folder)/libvirtd.log", encoding: .utf8)) ?? "" }

    /// Runs `virsh` against it.
    public func virsh(_ arguments: String..., timeout: Double = 60) throws -> Outcome {
        try Program.run(
            "virsh", ["-c", "qemu:///system?socket=\(socket)"] + arguments, environment: ["LC_ALL": "C"],
            timeout: timeout)
    }

    /// A program of this host's that finds libvirt's files where they usually are.
    public func program(_ path: String, _ arguments: [String] = []) throws -> Program {
        let pid = try String(contentsOfFile: "\(folder)/libvirtd.pid", encoding: .utf8)
        return Program(
            "nsenter", ["-t", pid.trimmingCharacters(in: .whitespacesAndNewlines), "-m", "--", path] + arguments,
            environment: daemon.environment)
    }

    /// Defines a guest: 32 MiB under TCG, no operating system, a raw virtio disk for each path, with `sharing` all of
    /// them `<shareable/>`.
    public func define(
        _ name: String = "lv-\(UUID().uuidString.prefix(8))", disks: [String], sharing: Bool = false
    ) throws -> LibvirtGuest {
        let file = "\(folder)/\(name).xml"
        let text = try LibvirtGuest.description(name, disks: disks, sharing: sharing)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        try virsh("define", file).expecting(.exit(0))
        return LibvirtGuest(name: name, host: self, pidFile: "\(folder)/run/libvirt/qemu/\(name).pid")
    }
}

/// A guest that a `LibvirtHost` knows.
public struct LibvirtGuest: Sendable {
    /// Its name.
    public let name: String
    /// Where it is.
    public let host: LibvirtHost
    let pidFile: String

    static func description(_ name: String, disks: [String], sharing: Bool) throws -> String {
        guard disks.count <= 26 else { throw TestFailure("\(disks.count) disks need longer target names") }
        let elements = zip(disks, "abcdefghijklmnopqrstuvwxyz").map { disk, letter in
            """
                <disk type='file' device='disk'>
                  <driver name='qemu' type='raw'/>
                  <source file='\(escaped(disk))'/>
                  <target dev='vd\(letter)' bus='virtio'/>
                  \(sharing ? "<shareable/>" : "")
                </disk>
            """
        }
        return """
            <domain type='qemu'>
              <name>\(escaped(name))</name>
              <memory unit='MiB'>32</memory>
              <os><type arch='x86_64' machine='pc'>hvm</type></os>
              <devices>
            \(elements.joined(separator: "\n"))
                <controller type='usb' model='none'/>
                <memballoon model='none'/>
              </devices>
            </domain>
            """
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: "'", with: "&apos;")
    }

    /// Starts it, or tries to.
    public func start() throws -> Outcome { try host.virsh("start", name) }

    /// Kills it, as `virsh destroy` does, and waits until libvirt and sanlock know.
    public func destroy() throws {
        let former = process
        try host.virsh("destroy", name).expecting(.exit(0))
        guard let former else { return }
        try eventually(within: 10, every: 10, "the leases of \(name) being free") {
            try host.daemon.clientStatus().resources(of: former.pid).isEmpty
        }
    }

    /// Its QEMU; nil while there is none.
    public var process: ProcessIdentity? {
        let text = FileManager.default.contents(atPath: pidFile) ?? Data()
        let number = pid_t(String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        return number.flatMap { ProcessIdentity(living: $0) }
    }

    /// What libvirt says of it, such as `running` or `shut off`.
    public func state() throws -> String {
        try host.virsh("domstate", name).expecting(.exit(0)).output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The leases that sanlock says its QEMU holds.
    public func leases() throws -> [SanlockStatus.Resource] {
        guard let process else { return [] }
        return try host.daemon.clientStatus().resources(of: process.pid)
    }
}
