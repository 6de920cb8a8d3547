import Foundation
import LockManager
import TestSupport
import Testing

/// Both plugins, for what holds of either.
let drivers = ["sanlock", "nop"]

/// A management application on a host, and the guests that it starts.
struct Stage {
    let place: ManagedHost
    let plugin: LockManagerPlugin

    init(_ driver: String, _ scratch: Scratch, second: Bool = false, settings: [String: String] = [:]) throws {
        place = try ManagedHost(scratch, second: second, settings: settings)
        plugin = try LockManagerPlugin.load(
            driver, configuration: place.configuration, supervisor: Products.supervisor())
    }

    static func with(
        _ driver: String, settings: [String: String] = [:], _ body: (Stage) throws -> Void
    ) throws {
        try withScratch { try body(Stage(driver, $0, settings: settings)) }
    }

    var isSupervised: Bool { plugin.name == "sanlock" }

    func identity(_ name: String = "guest", id: Int? = nil) throws -> GuestIdentity {
        try GuestIdentity(name: "\(name)-\(UUID().uuidString.prefix(6))", uuid: UUID().uuidString, id: id)
    }

    /// A manager of a guest that is to be started.
    func manager(
        _ guest: GuestIdentity? = nil, _ resources: [Resource] = [],
        _ beginning: LockManager.Beginning = .new, options: [String] = []
    ) throws -> LockManager {
        let manager = try LockManager(plugin, for: guest ?? identity(), beginning, options: options)
        for resource in resources { try manager.registerResource(resource) }
        return manager
    }

    /// Starts a guest as the manager says, without waiting.
    func start(_ manager: LockManager, _ command: [String]? = nil) throws -> RunningProgram {
        let prefix = try manager.supervisorPath.map { [$0] } ?? []
        let command = try command ?? Probe.command("sleep", "60")
        return try place.start(prefix + manager.supervisorArguments + command)
    }

    /// Starts a guest and waits until it runs.
    func running(
        _ resources: [Resource] = [], options: [String] = [], command: [String]? = nil
    ) throws -> (manager: LockManager, program: RunningProgram) {
        let manager = try manager(nil, resources, options: options)
        try manager.acquireObject()
        let program = try start(manager, command)
        if isSupervised { _ = try manager.child(supervisorPid: program.pid) }
        return (manager, program)
    }
}

/// The error of a call that has to throw; nil where it didn't.
func refusal<Result>(_ body: () throws -> Result) -> LockManagerError? {
    do {
        _ = try body()
    } catch let error as LockManagerError {
        return error
    } catch {
        Issue.record("\(error)")
    }
    return nil
}
