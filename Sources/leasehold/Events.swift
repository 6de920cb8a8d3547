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
        guard let guest else { return try followAll(try settings.allGuests()) }
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        var last: Int?
        // One that lives was upgraded; one that was killed is gone in a moment.
        repeat {
            do { try follow(found, after: &last) } catch let error as ConnectionError {
                guard error.isGone, last != nil || found.isThere else { throw error }
            }
            usleep(5000)
        } while found.isThere
    }

    // To the connection's end; from the second time on also what came in between.
    private func follow(_ found: FoundGuest, after last: inout Int?) throws {
        let connection = try GuestConnection(found, timeoutSeconds: nil)
        var reply: ReplyMessage? = try connection.call(.monitor, more: true)
        let past = found.paths.readState()?.events ?? []
        let known = last ?? .max
        for event in past where event.sequence > known { try show(event, guest: nil) }
        // At first everything that comes is new; later it may have been in the file.
        let shown = last == nil ? 0 : max(known, past.last?.sequence ?? 0)
        last = max(last ?? 0, past.last?.sequence ?? 0)
        while let message = reply {
            if let event: WireEvent = try message.optionalValue("event"), event.sequence > shown {
                try show(event, guest: nil)
                last = event.sequence
            }
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
        // Of guests whose connection has closed, by supervisor: one that was upgraded is found again.
        var told: [Int32: Int] = [:]
        var isFirstLook = true
        while true {
            let known = Set(followed.values.map(\.supervisorPid))
            for paths in directory.guestDirectories() {
                // Before it is asked: what comes after that is new.
                let before = isFirstLook ? paths.readState()?.events ?? [] : []
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
                if isFirstLook { guest.lastSequence = before.last?.sequence ?? 0 }
                if let sequence = told.removeValue(forKey: found.supervisorPid) { guest.lastSequence = sequence }
                try tell(past, of: &guest)
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
                if !isThere { told[guest.supervisorPid] = FoundGuest(guest.paths) == nil ? nil : guest.lastSequence }
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
