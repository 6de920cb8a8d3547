// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "leasehold",
    products: [
        .executable(name: "leasehold", targets: ["leasehold"]),
        .executable(name: "leasehold-supervisor", targets: ["leasehold-supervisor"]),
        .library(name: "LockManager", targets: ["LockManager"]),
        .library(name: "DomainLock", targets: ["DomainLock"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        // System libraries: a module map and a shim header each, no logic.
        .systemLibrary(name: "CSanlock", pkgConfig: "libsanlock_client"),
        .systemLibrary(name: "CLibcap", pkgConfig: "libcap"),
        .systemLibrary(name: "CLibcrypto"),

        .target(name: "CPlatform"),
        .target(name: "Platform", dependencies: ["CPlatform", "CLibcap"]),
        .target(name: "Leases"),
        .target(
            name: "SanlockLeases",
            dependencies: ["CSanlock", "CLibcrypto", "Configuration", "ControlProtocol", "Leases", "Platform"],
            // The static archive: only MD5's few functions are linked, and no host's FIPS setting reaches them.
            linkerSettings: [.linkedLibrary(":libcrypto.a")]),
        .target(name: "EmulatorCommandLine"),
        .target(name: "Configuration"),
        .target(name: "ControlProtocol"),
        .target(name: "DiskNames", dependencies: ["Platform"]),
        .target(name: "HostConfiguration", dependencies: ["Configuration", "Platform"]),
        .target(name: "GuestDirectory", dependencies: ["ControlProtocol", "DiskNames", "Platform"]),
        .target(name: "SupervisorConnection", dependencies: ["ControlProtocol", "GuestDirectory", "Platform"]),
        .target(
            name: "HostChecks",
            dependencies: [
                "ControlProtocol", "DiskNames", "GuestDirectory", "Leases", "Platform", "SanlockLeases",
            ]),
        .target(name: "QEMUMonitor", dependencies: ["ControlProtocol"]),
        .target(name: "Supervision", dependencies: ["Leases"]),
        .target(
            name: "SupervisorRuntime",
            dependencies: [
                "ControlProtocol", "EmulatorCommandLine", "GuestDirectory", "Leases", "Platform", "QEMUMonitor",
                "Supervision",
                .product(name: "Logging", package: "swift-log"),
            ]),
        .target(
            name: "LockManager",
            dependencies: [
                "ControlProtocol", "EmulatorCommandLine", "GuestDirectory", "HostConfiguration", "Leases", "Platform",
                "SanlockLeases", "SupervisorConnection",
            ]),
        .target(name: "DomainLock", dependencies: ["LockManager", "Platform"]),
        .executableTarget(
            name: "leasehold-supervisor",
            dependencies: [
                "Configuration", "ControlProtocol", "EmulatorCommandLine", "GuestDirectory", "HostConfiguration",
                "Leases",
                "Platform", "SanlockLeases", "Supervision", "SupervisorRuntime",
            ]),
        .executableTarget(
            name: "leasehold",
            dependencies: [
                "Configuration", "ControlProtocol", "EmulatorCommandLine", "GuestDirectory", "HostChecks",
                "HostConfiguration", "Leases", "Platform", "SanlockLeases", "Supervision", "SupervisorConnection",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        .target(name: "TestSupport", path: "Tests/TestSupport", exclude: ["writer.s"]),
        .executableTarget(name: "ProbeGuest", path: "Tests/ProbeGuest"),
        .executableTarget(
            name: "ManagingProgram", dependencies: ["DomainLock", "LockManager"], path: "Tests/ManagingProgram"),
        .executableTarget(
            name: "lock-manager-sample", dependencies: ["LockManager"], path: "docs/samples/lock-manager"),
        .executableTarget(
            name: "domain-lock-sample", dependencies: ["DomainLock", "LockManager"], path: "docs/samples/domain-lock"),
        .testTarget(name: "EmulatorCommandLineTests", dependencies: ["EmulatorCommandLine"]),
        .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "TestSupport"]),
        .testTarget(name: "ControlProtocolTests", dependencies: ["ControlProtocol", "TestSupport"]),
        .testTarget(name: "SupervisionTests", dependencies: ["Supervision", "Leases"]),
        .testTarget(name: "LeasesTests", dependencies: ["Leases"]),
        .testTarget(name: "DiskNamesTests", dependencies: ["DiskNames", "Platform", "TestSupport"]),
        .testTarget(
            name: "GuestDirectoryTests", dependencies: ["ControlProtocol", "GuestDirectory", "Platform", "TestSupport"]),
        .testTarget(
            name: "HostChecksTests", dependencies: ["ControlProtocol", "HostChecks", "Platform", "SanlockLeases"]),
        .testTarget(name: "PlatformTests", dependencies: ["Platform", "TestSupport"]),
        .testTarget(
            name: "LockManagerTests", dependencies: ["LockManager", "ProbeGuest", "TestSupport"]),
        .testTarget(
            name: "DomainLockTests",
            dependencies: [
                "ControlProtocol", "DomainLock", "LockManager", "ManagingProgram", "ProbeGuest", "TestSupport",
                "domain-lock-sample", "lock-manager-sample",
            ]),
        .testTarget(name: "QEMUMonitorTests", dependencies: ["QEMUMonitor", "ControlProtocol", "TestSupport"]),
        .testTarget(name: "SanlockLeasesTests", dependencies: ["Leases", "SanlockLeases", "TestSupport"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["TestSupport", "ProbeGuest"],
            exclude: ["io.leasehold.Supervisor.varlink", "metrics_client.py", "varlink_client.py"]),
    ],
    swiftLanguageModes: [.v6]
)
