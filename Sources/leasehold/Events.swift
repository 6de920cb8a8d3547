import ArgumentParser
import ControlProtocol
import Glibc
import GuestDirectory
import SupervisorConnection

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what happens to guests, one JSON line an event.",
        discussion:
            "Follows one guest to its end, or all guests of the host, with the guest's name in each line, until "
            + "interrupted.")

    /// How long a guest may run before it is noticed.
    private static let lookMilliseconds: Int32 = 100

    @Argument(help: "The guest's name or UUID; none: all.") var guest: String?
    @Flag(help: "The same: events are JSON.") var json = false
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        let directory = try settings.runDirectory()
        guard let guest else { return try followAll(directory) }
        let connection = try GuestConnection(FoundGuest.named(guest, in: directory), timeoutSeconds: nil)
        var reply: ReplyMessage? = try connection.call(.monitor, more: true)
        while let message = reply {
            if let event: WireEvent = try message.optionalValue("event") { try show(event, guest: nil) }
            reply = try connection.next()
        }
    }

    /// A guest that is followed among others.
    private struct Followed {
        let paths: GuestPaths
        let name: String
        let supervisorPid: Int32
        let connection: GuestConnection
        var lastSequence: Int
    }

    private func followAll(_ directory: RunDirectory) throws {
        var followed: [Int32: Followed] = [:]
        var isFirstLook = true
        while true {
            let known = Set(followed.values.map(\.supervisorPid))
            for paths in directory.guestDirectories() {
                guard let found = FoundGuest(paths), !known.contains(found.supervisorPid),
                    let connection = try? GuestConnection(found, timeoutSeconds: 5),
                    let first = try? connection.call(.monitor, more: true),
                    let status: WireStatus = try? first.value("status")
                else { continue }
                var guest = Followed(
                    paths: paths, name: status.name, supervisorPid: found.supervisorPid, connection: connection,
                    lastSequence: 0)
                // What came before this command did is not told, what came before it noticed the guest is.
                let past = paths.readState()?.events ?? []
                if isFirstLook { guest.lastSequence = past.last?.sequence ?? 0 } else { try tell(past, of: &guest) }
                followed[connection.number] = guest
            }
            isFirstLook = false
            var waits = followed.keys.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&waits, nfds_t(waits.count), Events.lookMilliseconds) > 0 else { continue }
            for wait in waits where wait.revents != 0 {
                guard var guest = followed[wait.fd] else { continue }
                let isThere = (try? guest.connection.receive()) ?? false
                while let message = try? guest.connection.waiting() {
                    guard let event: WireEvent = try message.optionalValue("event") else { continue }
                    if event.sequence > guest.lastSequence + 1 {
                        try tell(guest.paths.readState()?.events ?? [], of: &guest)
                    }
                    try tell([event], of: &guest)
                }
                followed[wait.fd] = isThere ? guest : nil
            }
        }
    }

    private func tell(_ events: [WireEvent], of guest: inout Followed) throws {
        for event in events where event.sequence > guest.lastSequence {
            guest.lastSequence = event.sequence
            try show(event, guest: guest.name)
        }
    }

    private func show(_ event: WireEvent, guest: String?) throws {
        guard case .object(var object) = event.json else { return }
        object["guest"] = guest.map(JSON.string)
        try leasehold.show(JSON.object(object).description + "\n")
    }
}
