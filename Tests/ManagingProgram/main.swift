// A management program to be killed: sees to it that guests run, and looks after all of them until it is.
//
//     ManagingProgram CONFIGURATION SUPERVISOR COUNT LEASED -- COMMAND [ARG…]
//
// Finds the guests that run, starts those of guest-1…guest-COUNT that don't, of which the first LEASED have a disk of their own
// beside CONFIGURATION, and then asks each of them again and again. Prints a line for each guest that it found at its start, and one
// `all` with their number each time that it has asked all.

import DomainLock
import Foundation
import LockManager

/// Writes a line at once: this program is killed.
func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

let arguments = CommandLine.arguments
guard arguments.count > 6, arguments[5] == "--", let count = Int(arguments[3]), let leased = Int(arguments[4]) else {
    print("usage: ManagingProgram CONFIGURATION SUPERVISOR COUNT LEASED -- COMMAND [ARG…]")
    exit(64)
}
let disks = URL(fileURLWithPath: arguments[1]).deletingLastPathComponent().path

func identity(_ number: Int) throws -> GuestIdentity {
    let digits = String(number)
    let tail = String(repeating: "0", count: 12 - digits.count) + digits
    return try GuestIdentity(name: "guest-\(number)", uuid: "00000000-0000-4000-8000-\(tail)", id: number)
}

func start(_ number: Int, _ plugin: LockManagerPlugin) throws -> DomainLock {
    let resources: [Resource] = number <= leased ? [.disk("\(disks)/disk-\(number)")] : []
    let options = number <= leased ? [] : ["--driver", "nop"]
    return try DomainLock.start(
        identity(number), plugin, resources: resources, options: options, command: Array(arguments[6...])
    ) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: $0[0])
        process.arguments = Array($0.dropFirst())
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process.processIdentifier
    }
}

let plugin = try LockManagerPlugin.load("sanlock", configuration: arguments[1], supervisor: arguments[2])
var guests: [String: DomainLock] = [:]
for guest in try DomainLock.attachAll(plugin) {
    guests[guest.manager.guest.name] = guest
    // One that was being started when its starter was killed is waited for.
    say("found \(guest.manager.guest.name) \(try guest.child()) \(try guest.manager.inquire().count)")
}
for number in 1...count where guests["guest-\(number)"] == nil {
    do { guests["guest-\(number)"] = try start(number, plugin) } catch DomainLockError.refused(.busy) {
        // Its supervisor had not come far enough to be found.
        guests["guest-\(number)"] = try DomainLock.attach(identity(number), plugin)
    }
}
while true {
    for guest in guests.values {
        _ = try guest.child()
        _ = try guest.manager.inquire()
    }
    say("all \(guests.count)")
    usleep(20_000)
}
