import ArgumentParser
import ControlProtocol
import SupervisorConnection

struct Suspend: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have a guest stand still.",
        discussion: """
            It keeps its leases, or with --release gives them back, and remembers their versions. Needs the guest's monitor (--qmp).
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Flag(help: "Give its leases back meanwhile.") var release = false
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        _ = try order(.suspend(release: release), guest, in: try settings.runDirectory(), doing: "suspending")
    }
}

struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have a guest go on that stands still.",
        discussion: """
            Leases that were given back are taken again, if nobody had them in between; else the guest stays as it is. Nobody can tell \
            who had a shared lease in between.
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        let directory = try settings.runDirectory()
        do throws(ConnectionError) {
            _ = try order(.resume, guest, in: directory, doing: "resuming")
        } catch {
            throw Problem(takenBetween: error, "can't resume \(guest)") ?? Problem(error)
        }
    }
}

extension Problem {
    /// Nil where the error is another one than that somebody has a lease, or had it in between.
    init?(takenBetween error: ConnectionError, _ what: String) {
        guard case .refused(_, .busy(let disk, let lease, let holder)) = error else { return nil }
        let who = holder?.place ?? "somebody"
        self.init(
            Problem.busy,
            "\(what): \(who) has \(disk ?? "lease \(lease)"), or had it after it was given back; the guest's memory may not fit "
                + "its disk any more, so it stays stopped: leasehold kill ends it")
    }
}

extension WireHolder {
    /// `guest db7 on host node3 (host id 3)`.
    var place: String {
        let host =
            switch (hostName, hostId) {
            case (let name?, let id?): "host \(name) (host id \(id))"
            case (let name?, nil): "host \(name)"
            case (nil, let id?): "the host with id \(id)"
            case (nil, nil): "another host"
            }
        return guest.map { "guest \($0) on \(host)" } ?? host
    }
}
