import ArgumentParser
import Configuration
import ControlProtocol
import GuestDirectory
import Leases
import Platform
import SupervisorConnection

/// How long to wait for busy leases.
struct WaitOption: ParsableArguments {
    @Option(
        help: ArgumentHelp("How long to wait for a busy lease, such as 30s (0: fail at once).", valueName: "duration"))
    var wait: String?

    var seconds: Double? { wait.flatMap(parseDuration) }

    func validate() throws {
        if let wait, parseDuration(wait) == nil {
            throw ValidationError("--wait '\(wait)' is no duration such as 30s or 2m")
        }
    }
}

struct AttachDisk: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach-disk", abstract: "Take a disk's lease for a running guest, before the disk is plugged in.",
        discussion: """
            Of a disk whose lease the guest has already, --shared shares it from now on; without, it is the guest's alone. A disk that \
            is only read needs no lease.
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Argument(help: "The disk, as the guest will open it.") var path: String
    @Flag(help: "Other guests write it too.") var shared = false
    @Flag(help: "The guest only reads it.") var readonly = false
    @OptionGroup var waiting: WaitOption
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an array of Lease.") var json = false

    func validate() throws {
        if shared && readonly { throw ValidationError("a disk is --shared or --readonly, not both") }
    }

    func run() throws {
        let disk = WireDisk(
            path: try DiskArgument(path).name, mode: shared ? .shared : readonly ? .readonly : .exclusive)
        try attach(.acquire(disks: [disk], leases: [], waitSeconds: waiting.seconds), guest, settings, json: json)
    }
}

struct AttachLease: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach-lease", abstract: "Take a lease for a running guest.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Argument(help: "LOCKSPACE:RESOURCE:PATH:OFFSET[:SH], in sanlock's own spelling.") var lease: String
    @OptionGroup var waiting: WaitOption
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an array of Lease.") var json = false

    func validate() throws { try validate(lease: lease) }

    func run() throws {
        let call = Call.acquire(disks: [], leases: [lease], waitSeconds: waiting.seconds)
        try attach(call, guest, settings, json: json)
    }
}

private func attach(_ call: Call, _ guest: String, _ settings: ConfigurationOptions, json: Bool) throws {
    let directory = try settings.runDirectory()
    let leases: [WireLease] = try order(call, guest, in: directory, doing: "taking leases for").values("acquired")
    if json { return try show(JSON.array(leases.map(\.json)).prettyDescription + "\n") }
    if leases.isEmpty { return try show("no lease is needed\n") }
    for lease in leases {
        let version = lease.version.map { " (version \($0))" } ?? ""
        let name = lease.disk ?? "\(lease.lockspace):\(lease.resource)"
        try show("\(guest.printable) has \(name.printable), \(lease.mode.rawValue)\(version)\n")
    }
}

struct DetachDisk: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach-disk", abstract: "Give a disk's lease back, after the disk was unplugged.",
        discussion: "Refused while the guest has the disk open to write it.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Argument(help: "The disk, as the guest had it.") var path: String
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        try detach(try DiskArgument(path), guest, in: try settings.runDirectory())
    }
}

/// Gives a disk's lease back. One that the guest still has open is busy.
func detach(_ disk: DiskArgument, _ guest: String, in directory: RunDirectory) throws {
    do throws(ConnectionError) {
        _ = try order(.release(disks: [disk.name], leases: []), guest, in: directory, doing: "giving a lease back for")
    } catch {
        guard case .refused(_, .invalidResource) = error else { throw error }
        let status = try status(of: try FoundGuest.named(guest, in: directory), named: guest, in: directory)
        let isHeld = status.leases.contains { $0.disk?.hasSameBytes(as: disk.path) == true }
        throw Problem(isHeld ? Problem.busy : Problem.notFound, error.message)
    }
}

struct DetachLease: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach-lease", abstract: "Give a lease of a running guest back.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Argument(help: "LOCKSPACE:RESOURCE:PATH:OFFSET[:SH], in sanlock's own spelling.") var lease: String
    @OptionGroup var settings: ConfigurationOptions

    func validate() throws { try validate(lease: lease) }

    func run() throws {
        let directory = try settings.runDirectory()
        _ = try order(
            .release(disks: [], leases: [lease]), guest, in: directory, doing: "giving a lease back for")
    }
}

extension ParsableCommand {
    fileprivate func validate(lease: String) throws {
        do throws(LeaseSpellingError) { _ = try LeaseRequest(spelling: lease) } catch {
            throw ValidationError("'\(lease)': \(error.problem); write LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]")
        }
    }
}
