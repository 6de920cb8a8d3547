import ArgumentParser
import ControlProtocol
import Glibc
import GuestDirectory

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what happens to guests, one JSON line an event.",
        discussion: "Follows one guest to its end, or all guests of the host, with the guest's name in each line, until "
            + "interrupted.")

    /// How long a guest may run before it is noticed.
    private static let lookMilliseconds: Int32 = 200

    @Argument(help: "The guest's name or UUID; none: all.") var guest: String?
    @Flag(help: "The same: events are JSON.") var json = false
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        let directory = try settings.runDirectory()
        guard let guest else { return try followAll(directory) }
        let connection = try GuestConnection(FoundGuest.named(guest, in: directory), timeoutSeconds: nil)
        var reply: ReplyMessage? = try connection.call(.monitor, more: true)
        while let message = reply {
            try print(message, guest: nil)
            reply = try connection.next()
        }
    }

    private func followAll(_ directory: RunDirectory) throws {
        var connections: [Int32: (guest: String, supervisor: Int32, connection: GuestConnection)] = [:]
        while true {
            let known = Set(connections.values.map(\.supervisor))
            for paths in directory.guestDirectories() {
                guard let found = FoundGuest(paths), !known.contains(found.supervisorPid),
                    let connection = try? GuestConnection(found, timeoutSeconds: 5),
                    let first = try? connection.call(.monitor, more: true),
                    let status: WireStatus = try? first.value("status")
                else { continue }
                connections[connection.number] = (status.name, found.supervisorPid, connection)
            }
            var waits = connections.keys.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&waits, nfds_t(waits.count), Events.lookMilliseconds) > 0 else { continue }
            for wait in waits where wait.revents != 0 {
                guard let (guest, _, connection) = connections[wait.fd] else { continue }
                let isThere = (try? connection.receive()) ?? false
                while let message = try? connection.waiting() { try print(message, guest: guest) }
                if !isThere { connections[wait.fd] = nil }
            }
        }
    }

    private func print(_ message: ReplyMessage, guest: String?) throws {
        guard let event: WireEvent = try message.optionalValue("event"), case .object(var object) = event.json else {
            return
        }
        object["guest"] = guest.map(JSON.string)
        try show(JSON.object(object).description + "\n")
    }
}
