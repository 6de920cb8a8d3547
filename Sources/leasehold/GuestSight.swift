import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A guest as a look at all of them finds it.
struct GuestSight {
    /// What tells about it.
    enum Source: Equatable {
        /// Its supervisor.
        case supervisor
        /// What its supervisor wrote down last: it doesn't answer now.
        case record
        /// Nothing: it can't be asked, and nothing readable is written down. Why, and an exit code.
        case nobody(String, Int32)
    }

    /// Its files.
    let found: FoundGuest
    /// What is known of it; nil from nobody.
    var status: WireStatus?
    /// Where that is from.
    var source: Source
    /// The last events, as far as they were written down.
    var events: [WireEvent] { found.paths.readState()?.events ?? [] }

    /// What to say where its supervisor doesn't answer.
    var problem: Problem {
        if case .nobody(let text, let code) = source { return Problem(code, text) }
        return Problem(Problem.unavailable, GuestSight.silence(found.paths.fileName, found.supervisorPid))
    }

    /// What to say of a supervisor that doesn't answer.
    static func silence(_ name: String, _ pid: Int32) -> String {
        "the supervisor of \(name) (pid \(pid)) does not answer; is it stopped? leasehold kill ends it"
    }

    /// Asks the supervisors of all guests at once, so that many that don't answer take no longer than one.
    ///
    /// - Parameter seconds: how long they may take.
    static func all(in directory: RunDirectory, within seconds: Double) -> [GuestSight] {
        var sights: [GuestSight] = []
        var open: [(index: Int, connection: GuestConnection)] = []
        for paths in directory.guestDirectories() {
            guard let found = FoundGuest(paths) else { continue }
            do {
                let connection = try GuestConnection(found, timeoutSeconds: 1)
                try connection.send(.getStatus)
                open.append((sights.count, connection))
            } catch is GuestConnection.Gone {
                continue
            } catch {
                let problem = error as? Problem
                let text = problem?.text ?? "\(error)"
                sights.append(GuestSight(found: found, source: .nobody(text, problem?.code ?? Problem.unavailable)))
                continue
            }
            sights.append(
                GuestSight(
                    found: found, source: .nobody(silence(paths.fileName, found.supervisorPid), Problem.unavailable)))
        }
        let gone = receive(&sights, open, within: seconds)
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
                do {
                    if try !connection.receive() { gone.insert(index) }
                    guard let reply = try connection.waiting() else { return gone.contains(index) }
                    sights[index].status = try reply.value("status")
                    sights[index].source = .supervisor
                } catch let problem as Problem {
                    sights[index].source = .nobody(problem.text, problem.code)
                } catch {
                    let text =
                        "the supervisor of \(sights[index].found.paths.fileName) answers something else: \(error)"
                    sights[index].source = .nobody(text, Problem.unavailable)
                }
                return true
            }
        }
        return gone
    }
}
