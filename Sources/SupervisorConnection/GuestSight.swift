import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A guest as a look at all of them finds it.
public struct GuestSight: Sendable {
    /// What tells about it.
    public enum Source: Equatable, Sendable {
        /// Its supervisor.
        case supervisor
        /// What its supervisor wrote down last: it doesn't answer now.
        case record
        /// Nothing: it can't be asked, and nothing readable is written down.
        case nobody(ConnectionError)
    }

    /// Its files.
    public let found: FoundGuest
    /// What is known of it; nil from nobody.
    public private(set) var status: WireStatus?
    /// Where that is from.
    public private(set) var source: Source
    /// The last events, as far as they were written down.
    public var events: [WireEvent] { found.paths.readState()?.events ?? [] }

    /// What is known of it now. Of what was written down some time ago the renewals are left out: what was true of them then
    /// is not now.
    public var known: WireStatus? {
        guard source == .record else { return status }
        return status?.withoutRenewals
    }

    /// What to say where its supervisor doesn't answer.
    public var problem: ConnectionError {
        if case .nobody(let error) = source { return error }
        return .silent(found.paths.fileName, supervisorPid: found.supervisorPid)
    }

    /// Asks the supervisors of all guests at once, so that many that don't answer take no longer than one.
    ///
    /// - Parameter seconds: how long they may take.
    public static func all(in directory: RunDirectory, within seconds: Double) -> [GuestSight] {
        var sights: [GuestSight] = []
        var open: [(index: Int, connection: GuestConnection)] = []
        for paths in directory.guestDirectories() {
            guard let found = FoundGuest(paths) else { continue }
            do throws(ConnectionError) {
                let connection = try found.overUpgrades { () throws(ConnectionError) in
                    let connection = try GuestConnection(found, timeoutSeconds: 1)
                    try connection.send(.getStatus)
                    return connection
                }
                open.append((sights.count, connection))
            } catch {
                if case .gone = error { continue }
                sights.append(GuestSight(found: found, source: .nobody(error)))
                continue
            }
            let silence = ConnectionError.silent(paths.fileName, supervisorPid: found.supervisorPid)
            sights.append(GuestSight(found: found, source: .nobody(silence)))
        }
        var gone = receive(&sights, open, within: seconds)
        // One that lives was upgraded.
        for index in gone where sights[index].found.isThere {
            let status: WireStatus? = try? sights[index].found.ask(.getStatus, timeoutSeconds: 1) {
                (reply) throws(WireError) in try reply.value("status")
            }
            guard let status else { continue }
            sights[index].status = status
            sights[index].source = .supervisor
            gone.remove(index)
        }
        for index in sights.indices where sights[index].status == nil && !gone.contains(index) {
            guard let state = sights[index].found.paths.readState(), sights[index].found.isThere else { continue }
            sights[index].status = state.status
            sights[index].source = .record
        }
        return sights.indices.filter { !gone.contains($0) }.map { sights[$0] }
    }

    // Returns those that have ended meanwhile.
    private static func receive(
        _ sights: inout [GuestSight], _ connections: [(index: Int, connection: GuestConnection)], within seconds: Double
    ) -> Set<Int> {
        var open = connections
        var gone: Set<Int> = []
        let deadline = Clock.monotonicSeconds() + seconds
        while !open.isEmpty {
            let left = deadline - Clock.monotonicSeconds()
            guard left > 0 else { break }
            var waits = open.map { pollfd(fd: $0.connection.number, events: Int16(POLLIN), revents: 0) }
            guard poll(&waits, nfds_t(waits.count), Int32(left * 1000) + 1) > 0 else { continue }
            let ready = Set(waits.filter { $0.revents != 0 }.map(\.fd))
            open.removeAll { index, connection in
                guard ready.contains(connection.number) else { return false }
                do throws(ConnectionError) {
                    if try !connection.receive() { gone.insert(index) }
                    guard let reply = try connection.waiting() else { return gone.contains(index) }
                    do throws(WireError) { sights[index].status = try reply.value("status") } catch {
                        throw .unexpected(sights[index].found.paths.fileName, error)
                    }
                    sights[index].source = .supervisor
                } catch {
                    sights[index].source = .nobody(error)
                }
                return true
            }
        }
        return gone
    }
}

extension WireStatus {
    /// The same without what grows old.
    public var withoutRenewals: WireStatus {
        var known = self
        known.lockspaces = lockspaces.map { WireLockspace(name: $0.name, hostId: $0.hostId, hostName: $0.hostName) }
        return known
    }
}
