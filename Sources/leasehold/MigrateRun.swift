import ArgumentParser
import ControlProtocol
import Glibc
import GuestDirectory
import Platform
import SupervisorConnection

/// The whole sequence of a migration, over the control sockets of source and target. Whatever goes wrong is gone back from, so
/// that at most one side runs, and which it is is said.
struct MigrateRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Do the whole migration: prepare, QEMU's own, out, in, and the end of the source.",
        discussion: """
            The target is loaded already, by leasehold run --incoming. Both guests need a monitor (--qmp). Should this \
            command be killed, the guest goes on at the source, or stands still on both sides; then migrate out and in \
            bring it to its end, or --cancel goes back.
            """)

    @Argument(help: "The guest's name or UUID, on the source.") var guest: String
    @Option(
        help: ArgumentHelp(
            "The guest that is to be the target: its name here, or the path of its control socket, which may be forwarded "
                + "from another machine.", valueName: "target"))
    var to: String
    @Option(
        name: .customLong("qmp-uri"),
        help: ArgumentHelp(
            "What the source's QEMU connects to (that of the target's -incoming).", valueName: "uri"))
    var monitorURI: String?
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print the target's Status.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let source = Side(name: guest, directory: directory, isSocket: false)
        let target = Side(name: to, directory: directory, isSocket: to.utf8.contains(UInt8(ascii: "/")))
        let uri = try check(try source.status(), try target.statusOnceReady())
        let began = Clock.monotonicSeconds()
        _ = try source.order(.prepareMigrate(uri: uri), doing: "preparing")
        var mayHaveCome = false
        do throws(ConnectionError) {
            _ = try source.order(.migrate(uri: uri), doing: "migrating")
            let ticket = try source.order(.completeMigrateOut(cancel: false), doing: "giving the leases of").ticket
            mayHaveCome = true
            _ = try target.order(.completeMigrateIn(ticket: ticket, cancel: false), doing: "bringing in")
        } catch {
            throw Problem(
                Problem(error).code,
                "\(guest) was not migrated: \(error.message); "
                    + back(source, target, mayHaveCome: mayHaveCome))
        }
        // Nothing is lost by this one: it has no leases, and its state is at the target.
        _ = try? source.order(.kill, doing: "ending the source of")
        let status = try target.status()
        if json { return try show(status.json.prettyDescription + "\n") }
        let seconds = (Clock.monotonicSeconds() - began).rounded(to: 100)
        try show("\(guest.printable) is \(status.state.rawValue) at \(to.printable), after \(seconds) s\n")
    }

    // Returns the URI for the source's emulator.
    private func check(_ source: WireStatus, _ target: WireStatus) throws -> String {
        guard source.uuid.lowercased() == target.uuid.lowercased() else {
            throw Problem(
                Problem.notFound,
                "\(to) is another guest (UUID \(target.uuid), and \(guest) has \(source.uuid)); start it with the same -uuid"
            )
        }
        guard source.state == .running || source.state == .paused else {
            let hint = source.state == .migrating ? "; leasehold migrate out --cancel calls it back" : ""
            throw Problem(Problem.busy, "\(guest) is \(source.state.rawValue), and can't be migrated\(hint)")
        }
        guard target.state == .incoming else {
            throw Problem(
                Problem.busy, "\(to) is \(target.state.rawValue), not incoming; start it with leasehold run --incoming")
        }
        let place = target.command.lastIndex { $0 == "-incoming" || $0 == "--incoming" }
        let incoming = place.flatMap { target.command.indices.contains($0 + 1) ? target.command[$0 + 1] : nil }
        guard let uri = monitorURI ?? incoming, uri != "defer" else {
            throw Problem(
                Problem.usage, "the command of \(to) has no -incoming URI; give --qmp-uri, which its QEMU listens on")
        }
        return uri
    }

    // The target first: while it may run, the source must not.
    private func back(_ source: Side, _ target: Side, mayHaveCome: Bool) -> String {
        var ends: [String] = []
        var mayRunThere = mayHaveCome
        do throws(ConnectionError) {
            try target.callOff()
            mayRunThere = false
            ends.append("the target is gone")
        } catch {
            // Of a socket that may be forwarded from another machine nobody can tell which end is gone.
            if target.isGone(by: error), !target.isSocket { mayRunThere = false }
            let gone = target.isSocket ? "the target is gone or can't be reached" : "the target is gone"
            ends.append(target.isGone(by: error) ? gone : "the target: \(error.message)")
        }
        do throws(ConnectionError) {
            _ = try source.order(.completeMigrateOut(cancel: true), doing: "calling back")
            let isStill = (try? source.status())?.state == .paused
            ends.append(isStill ? "it stands still at the source, as before" : "it runs on at the source")
        } catch {
            if source.isGone(by: error) {
                ends.append(mayRunThere ? "the source is gone" : "and so is the source: it runs nowhere")
            } else {
                ends.append(Problem(takenBetween: error, "it can't go on at the source")?.text ?? error.message)
            }
        }
        return ends.joined(separator: ", ")
    }
}

/// One side of a migration.
private struct Side {
    let name: String
    let directory: RunDirectory
    /// Whether the name is a control socket's path.
    let isSocket: Bool

    private func connect(timeoutSeconds: Double?) throws(ConnectionError) -> GuestConnection {
        if isSocket { return try GuestConnection(socketPath: name, timeoutSeconds: timeoutSeconds) }
        return try GuestConnection(try FoundGuest.named(name, in: directory), timeoutSeconds: timeoutSeconds)
    }

    func order(_ call: Call, doing what: String) throws(ConnectionError) -> ReplyMessage {
        try leasehold.order(call, try connect(timeoutSeconds: nil), doing: "\(what) \(name)")
    }

    /// An emulator that has just been started takes no connection yet.
    func statusOnceReady() throws(ConnectionError) -> WireStatus {
        let deadline = Clock.monotonicSeconds() + Side.startSeconds
        while true {
            let status = try status()
            guard status.state == .starting || status.state == .acquiring, Clock.monotonicSeconds() < deadline else {
                return status
            }
            usleep(20_000)
        }
    }

    /// Has the target end; also where it is ending by itself.
    func callOff() throws(ConnectionError) {
        do throws(ConnectionError) {
            _ = try order(.completeMigrateIn(ticket: nil, cancel: true), doing: "ending the target of")
        } catch {
            guard case .refused(_, .wrongState(let state)) = error, state == WireStatus.State.stopping.rawValue else {
                throw error
            }
            _ = try order(.kill, doing: "ending the target of")
        }
    }

    /// Whether an error says that there is no such guest any more, or none that could be reached.
    func isGone(by error: ConnectionError) -> Bool {
        switch error {
        case .refused(_, .wrongState(let state)):
            state == WireStatus.State.exited.rawValue || state == WireStatus.State.stopping.rawValue
        case .noSuchGuest, .gone: true
        case .unreachable(_, let error): error.number == ENOENT || error.number == ECONNREFUSED
        case .silent, .notListening, .refused, .unreadable, .unexpected: false
        }
    }

    private static let startSeconds = 15.0

    func status() throws(ConnectionError) -> WireStatus {
        let reply = try connect(timeoutSeconds: 5).call(.getStatus)
        do throws(WireError) { return try reply.value("status") } catch { throw .unexpected(name, error) }
    }
}

extension ReplyMessage {
    /// As it came: the other side reads it.
    fileprivate var ticket: JSON? { try? ticket() }
}

extension Double {
    fileprivate func rounded(to parts: Double) -> Double { (self * parts).rounded() / parts }
}
