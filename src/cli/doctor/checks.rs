//! Every check by name: the names of the JSON output, the groups of the text, the table in `docs/doctor.md`.

/// What a check is about; the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The file as written, and the files it names.
    Configuration,
    /// The machine and what it allows the process.
    Host,
    /// The data folder and the embedded store.
    Data,
    /// The daemon on this machine, if it runs.
    Daemon,
    /// The Kafka cluster, if the configuration uses one.
    Kafka,
    /// The saved state against the configuration.
    State,
}

impl Group {
    /// The word in both outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Host => "host",
            Self::Data => "data",
            Self::Daemon => "daemon",
            Self::Kafka => "kafka",
            Self::State => "state",
        }
    }
}

/// One question that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Warnings of `check-config`.
    Configuration,
    /// Who may read the files of tokens, passwords and keys.
    Secrets,
    /// Until when certificates are valid.
    Certificates,
    /// Time zone data, and the zone of this machine.
    TimeZone,
    /// Whether the wall clock is synchronised.
    ClockSync,
    /// The limit on open files.
    OpenFiles,
    /// The limits on memory.
    Memory,
    /// Processors and their quota.
    Cpu,
    /// The data folder: there, writable, by whom.
    DataFolder,
    /// Free space and free inodes.
    DiskSpace,
    /// How long a small durable write takes.
    DiskSpeed,
    /// Kind of file system.
    FileSystem,
    /// The state file.
    Store,
    /// Who answers at the listen address.
    ListenAddress,
    /// The configuration that the daemon runs.
    RunningConfiguration,
    /// The Kafka client library.
    Librdkafka,
    /// Each configured broker address.
    Brokers,
    /// Each broker of the cluster under the address it tells.
    AdvertisedBrokers,
    /// What the brokers' protocol can do.
    BrokerVersion,
    /// Settings of the brokers that transactions rest on.
    BrokerSettings,
    /// The topics, as `topics check` sees them.
    Topics,
    /// How long input is kept.
    InputRetention,
    /// Leave to use the transactional id.
    TransactionalId,
    /// Leave to write to our topics.
    TopicWrites,
    /// Leave to read topics.
    TopicReads,
    /// Leave to remove state that is not needed.
    StateTrim,
    /// Leave to commit offsets, and members of the group.
    ConsumerGroup,
    /// Our clock against that of the brokers.
    BrokerClock,
    /// Record times of the input.
    InputTimes,
    /// Whether the state can be read.
    State,
    /// Our clock against that of the state.
    StateClock,
    /// Whether somebody works on the state now.
    StateActivity,
    /// Rules of the state that the configuration does not have.
    WindowRules,
    /// Sources of the state against those of the configuration.
    Sources,
    /// Fingerprints and groups that get other keys.
    Keys,
    /// Positions of the state against what the topics still have.
    InputPositions,
}

impl Check {
    /// Every check, in the order of the report.
    pub const ALL: [Self; 36] = [
        Self::Configuration,
        Self::Secrets,
        Self::Certificates,
        Self::TimeZone,
        Self::ClockSync,
        Self::OpenFiles,
        Self::Memory,
        Self::Cpu,
        Self::DataFolder,
        Self::DiskSpace,
        Self::DiskSpeed,
        Self::FileSystem,
        Self::Store,
        Self::ListenAddress,
        Self::RunningConfiguration,
        Self::Librdkafka,
        Self::Brokers,
        Self::AdvertisedBrokers,
        Self::BrokerVersion,
        Self::BrokerSettings,
        Self::Topics,
        Self::InputRetention,
        Self::TransactionalId,
        Self::TopicWrites,
        Self::TopicReads,
        Self::StateTrim,
        Self::ConsumerGroup,
        Self::BrokerClock,
        Self::InputTimes,
        Self::State,
        Self::StateClock,
        Self::StateActivity,
        Self::WindowRules,
        Self::Sources,
        Self::Keys,
        Self::InputPositions,
    ];

    /// The name in both outputs. Never changes; a check that goes takes its name along.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Certificates => "certificates",
            Self::TimeZone => "time_zone",
            Self::ClockSync => "clock_sync",
            Self::OpenFiles => "open_files",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::DataFolder => "data_folder",
            Self::DiskSpace => "disk_space",
            Self::DiskSpeed => "disk_speed",
            Self::FileSystem => "file_system",
            Self::Store => "store",
            Self::ListenAddress => "listen_address",
            Self::RunningConfiguration => "running_configuration",
            Self::Librdkafka => "librdkafka",
            Self::Brokers => "brokers",
            Self::AdvertisedBrokers => "advertised_brokers",
            Self::BrokerVersion => "broker_version",
            Self::BrokerSettings => "broker_settings",
            Self::Topics => "topics",
            Self::InputRetention => "input_retention",
            Self::TransactionalId => "transactional_id",
            Self::TopicWrites => "topic_writes",
            Self::TopicReads => "topic_reads",
            Self::StateTrim => "state_trim",
            Self::ConsumerGroup => "consumer_group",
            Self::BrokerClock => "broker_clock",
            Self::InputTimes => "input_times",
            Self::State => "state",
            Self::StateClock => "state_clock",
            Self::StateActivity => "state_activity",
            Self::WindowRules => "window_rules",
            Self::Sources => "sources",
            Self::Keys => "keys",
            Self::InputPositions => "input_positions",
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn group(self) -> Group {
        match self {
            Self::Configuration | Self::Secrets | Self::Certificates => Group::Configuration,
            Self::TimeZone | Self::ClockSync | Self::OpenFiles | Self::Memory | Self::Cpu => Group::Host,
            Self::DataFolder | Self::DiskSpace | Self::DiskSpeed | Self::FileSystem | Self::Store => Group::Data,
            Self::ListenAddress | Self::RunningConfiguration => Group::Daemon,
            Self::Librdkafka
            | Self::Brokers
            | Self::AdvertisedBrokers
            | Self::BrokerVersion
            | Self::BrokerSettings
            | Self::Topics
            | Self::InputRetention
            | Self::TransactionalId
            | Self::TopicWrites
            | Self::TopicReads
            | Self::StateTrim
            | Self::ConsumerGroup
            | Self::BrokerClock
            | Self::InputTimes => Group::Kafka,
            Self::State
            | Self::StateClock
            | Self::StateActivity
            | Self::WindowRules
            | Self::Sources
            | Self::Keys
            | Self::InputPositions => Group::State,
        }
    }

    /// Finds a check by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_the_order_of_groups() {
        for (index, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(Check::named(check.name()), Some(check));
            assert_eq!(check as usize, index);
        }
        assert!(Check::ALL.is_sorted_by_key(|check| check.group()));
    }
}
