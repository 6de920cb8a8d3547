import Configuration
import EmulatorCommandLine
import Glibc
import GuestDirectory
import HostConfiguration
import Leases
import Platform
import SanlockLeases
import Supervision
import SupervisorRuntime

/// A start that can't be tried: the line for the person, and the exit code.
struct Refusal: Error {
    let text: String
    let code: Int32

    init(_ code: Int32, _ text: String) {
        self.code = code
        self.text = text
    }
}

/// What the caller wants, worked out of options, settings and the command, before anything is touched.
struct Preparation {
    let options: SupervisorOptions
    let host: HostConfiguration
    let emulator: EmulatorCommandLine
    let workingDirectory: String

    private static let longestIncludedFile = 1 << 20

    init(_ options: SupervisorOptions) throws(Refusal) {
        self.options = options
        do throws(HostConfiguration.Problem) {
            host = try HostConfiguration(named: options.configurationFile)
        } catch {
            throw Refusal(ExitStatus.Code.configuration, error.text)
        }
        pauses = (options.onLeaseLoss ?? host.settings.onLeaseLoss) == .pause
        if pauses, options.monitorPath == nil {
            throw Refusal(
                ExitStatus.Code.configuration,
                "--on-lease-loss pause needs --qmp, the socket of a monitor that stops the guest; or use poweroff")
        }
        if let path = options.monitorPath, path.utf8.count > UnixSocket.longestPath {
            throw Refusal(
                ExitStatus.Code.configuration,
                "--qmp \(path) is longer than \(UnixSocket.longestPath) bytes, which no socket's path can be")
        }
        workingDirectory = Preparation.currentDirectory()
        do throws(CommandLineError) {
            emulator = try EmulatorCommandLine(
                arguments: options.command, workingDirectory: workingDirectory,
                readFile: { path in
                    let bytes = try Files.read(path, limit: Preparation.longestIncludedFile + 1)
                    guard bytes.count <= Preparation.longestIncludedFile,
                        let text = String(validating: bytes, as: UTF8.self)
                    else { throw SystemError("read", on: path, number: EFBIG) }
                    return text
                })
        } catch {
            // With --no-auto-disks nothing of the disks has to be understood.
            guard !options.readsDisks else { throw Refusal(ExitStatus.Code.usage, error.message) }
            emulator = try Preparation.withoutDisks(options.command, workingDirectory)
        }
        if isIncoming, options.monitorPath == nil {
            throw Refusal(
                ExitStatus.Code.configuration,
                "\(options.isIncoming ? "--incoming" : "-incoming") needs --qmp, the socket of a monitor that lets the guest "
                    + "run once it has its leases")
        }
    }

    /// Whether the guest is the target of a migration.
    var isIncoming: Bool { options.isIncoming || emulator.isIncoming }

    /// Whether it is to be started so that it stands still, and isn't yet.
    var lacksStop: Bool { isIncoming && !options.command.contains { $0 == "-S" || $0 == "--S" } }

    /// Whether the guest is to stand still when its leases are lost.
    let pauses: Bool

    // A directory that was removed has no path any more, and a guest without relative paths doesn't need one.
    private static let unknownDirectory = "(the working directory, which was removed)"

    private static func currentDirectory() -> String {
        guard let directory = getcwd(nil, 0) else { return unknownDirectory }
        defer { free(directory) }
        return String(cString: directory)
    }

    // The name, the UUID and whether it daemonizes are wanted all the same.
    private static func withoutDisks(_ command: [String], _ directory: String) throws(Refusal) -> EmulatorCommandLine {
        let plain = command.filter { ["-daemonize", "--daemonize", "-incoming"].contains($0) }
        do throws(CommandLineError) {
            return try EmulatorCommandLine(
                arguments: command.prefix(1) + plain, workingDirectory: directory, readFile: { _ in "" })
        } catch {
            throw Refusal(ExitStatus.Code.usage, error.message)
        }
    }

    /// The guest's name: the option's, the emulator's, or one of command and pid.
    func name() throws(Refusal) -> GuestName {
        if let given = options.name {
            guard let name = GuestName(given: given) else {
                throw Refusal(
                    ExitStatus.Code.usage,
                    "--name '\(given)' is not 1 to 64 of A-Za-z0-9._+:@- with none of .- first")
            }
            return name
        }
        if let given = emulator.guestName {
            guard let name = GuestName(fromEmulator: given) else {
                throw Refusal(ExitStatus.Code.usage, "-name '\(given)' is empty or too long; give --name")
            }
            return name
        }
        let command = options.command.first ?? ""
        let file = command.utf8.split(separator: UInt8(ascii: "/")).last ?? "guest".utf8[...]
        let short = String(decoding: file.prefix(16), as: UTF8.self)
        guard let name = GuestName(fromEmulator: "\(short)-\(getpid())") else {
            throw Refusal(ExitStatus.Code.usage, "no name can be made of '\(command)'; give --name")
        }
        return name
    }

    /// The guest's UUID: the option's, the emulator's, or a random one.
    func uuid() -> String {
        options.uuid ?? emulator.guestUUID ?? Preparation.randomUUID()
    }

    // RFC 9562, version 4.
    private static func randomUUID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Array("0123456789abcdef")
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append("-") }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }

    /// What the sanlock driver needs of the settings.
    func sanlock() throws(Refusal) -> SanlockSettings {
        do throws(HostConfiguration.Problem) {
            return SanlockSettings(host.settings, fileUser: try host.user(), fileGroup: try host.group())
        } catch {
            throw Refusal(ExitStatus.Code.configuration, error.text)
        }
    }

    /// The leases that the guest needs, and what to warn of.
    func leases(driver: SanlockSettings) throws(Refusal) -> (leases: [LeaseRequest], warnings: [String]) {
        var requests: [LeaseRequest] = []
        for spelling in options.leases {
            do throws(LeaseSpellingError) {
                requests.append(try LeaseRequest(spelling: spelling))
            } catch {
                throw Refusal(
                    ExitStatus.Code.usage,
                    "--lease '\(spelling)': \(error.problem); write LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]")
            }
        }
        for (index, request) in requests.enumerated() where requests[..<index].contains(where: { $0.names(request) }) {
            throw Refusal(ExitStatus.Code.usage, "--lease '\(request.spelling)' is given twice")
        }
        let writable = try disks().filter { $0.mode != .readonly }
        for disk in writable {
            // A byte that is no text reaches this program as U+FFFD: the lease would be another disk's.
            guard !disk.path.unicodeScalars.contains("\u{fffd}") else {
                throw Refusal(
                    ExitStatus.Code.usage, "\(disk.origin): the path '\(disk.path)' is not UTF-8 text; rename the disk")
            }
            guard !disk.path.startsWithBytes(of: Preparation.unknownDirectory) else {
                throw Refusal(
                    ExitStatus.Code.usage,
                    "\(disk.origin): a relative path, and the working directory was removed; "
                        + "give an absolute path")
            }
        }
        if host.settings.autoDiskLeases {
            for disk in writable {
                let request = driver.request(forDisk: disk.path, mode: disk.mode == .shared ? .shared : .exclusive)
                if !requests.contains(where: { $0.names(request) }) { requests.append(request) }
            }
        }
        return (requests, try warnings(requests, hasWritableDisk: !writable.isEmpty))
    }

    /// The disks with a lease of their own that are this host's to look at.
    func devices() throws(Refusal) -> [DeviceClaim.Disk] {
        guard host.settings.autoDiskLeases, options.driver == .sanlock else { return [] }
        return try disks().filter { $0.mode != .readonly && !$0.isNetwork }.map { disk in
            DeviceClaim.Disk(
                path: disk.path, isShared: disk.mode == .shared,
                isOpenedByCommand: !Preparation.optionOrigins.contains(disk.origin))
        }
    }

    private static let optionOrigins: Set<String> = ["--disk", "--shared-disk", "--readonly-disk"]

    private func warnings(_ requests: [LeaseRequest], hasWritableDisk: Bool) throws(Refusal) -> [String] {
        guard requests.isEmpty, options.driver == .sanlock else { return [] }
        let isReadOnly = try !disks().isEmpty && !hasWritableDisk
        if isReadOnly { return [] }
        let finding =
            hasWritableDisk
            ? "no lease was given for its disks, and auto_disk_leases is 0" : "no disk was found in the command"
        if host.settings.requireLeaseForDisks {
            throw Refusal(
                ExitStatus.Code.configuration, "\(finding), but require_lease_for_disks is 1; give --disk or --lease")
        }
        let isIntended = !options.disks.isEmpty || !options.leases.isEmpty || !options.readsDisks
        return isIntended ? [] : ["\(finding): the guest runs without a lease; give --disk or --lease"]
    }

    private func disks() throws(Refusal) -> [DiskUse] {
        var disks = options.readsDisks ? emulator.disks : []
        for given in options.disks {
            let disk: DiskUse =
                switch given {
                case .exclusive(let name): try use(name, .exclusive, "--disk")
                case .shared(let name): try use(name, .shared, "--shared-disk")
                case .readonly(let name): try use(name, .readonly, "--readonly-disk")
                }
            guard let index = disks.firstIndex(where: { $0.path.hasSameBytes(as: disk.path) }) else {
                disks.append(disk)
                continue
            }
            // What the command writes is not made harmless by an option that says otherwise.
            let modes = [disks[index].mode, disk.mode]
            disks[index].mode = modes.contains(.exclusive) ? .exclusive : modes.contains(.shared) ? .shared : .readonly
        }
        return disks
    }

    private func use(_ name: String, _ mode: DiskMode, _ option: String) throws(Refusal) -> DiskUse {
        do throws(NamedDisk.Problem) {
            let disk = try NamedDisk(name, in: workingDirectory)
            return DiskUse(path: disk.path, mode: mode, origin: option, isNetwork: disk.isRemote)
        } catch {
            throw Refusal(ExitStatus.Code.usage, "\(option) '\(name)': \(error.reason)")
        }
    }
}

extension LeaseRequest {
    /// Whether both are the same lease, however it is held.
    fileprivate func names(_ other: LeaseRequest) -> Bool {
        resource.lockspace.hasSameBytes(as: other.resource.lockspace)
            && resource.name.hasSameBytes(as: other.resource.name)
    }
}
