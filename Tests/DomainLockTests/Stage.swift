import DomainLock
import Foundation
import LockManager
import TestSupport
import Testing

/// Both plugins, for what holds of either.
let drivers = ["sanlock", "nop"]

/// A management application on a host that goes by whole sequences.
struct Stage {
    let place: ManagedHost
    let plugin: LockManagerPlugin

    init(_ driver: String, _ scratch: Scratch, second: Bool = false) throws {
        place = try ManagedHost(scratch, second: second)
        plugin = try LockManagerPlugin.load(
            driver, configuration: place.configuration, supervisor: Products.supervisor())
    }

    static func with(_ driver: String, _ body: (Stage) throws -> Void) throws {
        try withScratch { try body(Stage(driver, $0)) }
    }

    var isSupervised: Bool { plugin.name == "sanlock" }

    func identity(_ name: String = "guest") throws -> GuestIdentity {
        try GuestIdentity(name: "\(name)-\(UUID().uuidString.prefix(6))", uuid: UUID().uuidString)
    }

    /// Starts a guest, a probe unless something else is said.
    func start(
        _ guest: GuestIdentity? = nil, _ resources: [Resource] = [], options: [String] = [], command: [String]? = nil,
        timeoutSeconds: Double = 30
    ) throws -> DomainLock {
        var program: RunningProgram?
        do {
            return try DomainLock.start(
                guest ?? identity(), plugin, resources: resources, options: options,
                command: command ?? Probe.command("sleep", "60"), timeoutSeconds: timeoutSeconds
            ) {
                program = try place.start($0)
                return program?.pid ?? 0
            }
        } catch {
            // What the supervisor wrote is not part of the error.
            if let text = program?.errors, !text.isEmpty { print("a start failed: \(text)") }
            throw error
        }
    }

    /// A disk with the versions that a guest has its leases in.
    func versions(_ guest: DomainLock) throws -> [String: Int?] {
        Dictionary(uniqueKeysWithValues: try guest.manager.inquire().map { ($0.disk ?? $0.resource, $0.version) })
    }
}

/// What the application's own step fails with.
struct OwnFailure: Error, Equatable {}

/// The error of a sequence that has to throw; nil where it didn't.
func refusal<Result>(_ body: () throws -> Result) -> DomainLockError? {
    do {
        _ = try body()
    } catch let error as DomainLockError {
        return error
    } catch {
        Issue.record("\(error)")
    }
    return nil
}

extension DomainLockError {
    /// Why the lock manager refused; nil where it was something else.
    var refused: LockManagerError? { if case .refused(let error) = self { error } else { nil } }

    /// Who is in the way; nil where it was something else.
    var holder: LeaseHolder? { if case .refused(.busy(_, let holder)) = self { holder } else { nil } }

    /// Whether the lock manager refused for the resource's sake.
    var refusesResource: Bool { if case .refused(.invalidResource) = self { true } else { false } }

    /// Whose lease was kept, and should not have been; nil where it was something else.
    var kept: Resource? { if case .leaseKept(let resource, _) = self { resource } else { nil } }

    /// Whether the application's step failed and all was undone.
    var isUndone: Bool { if case .application(let error, nil) = self { error is OwnFailure } else { false } }
}
