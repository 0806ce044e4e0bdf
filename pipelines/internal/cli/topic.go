package cli

import (
	"errors"
	"flag"

	"example.com/beamredis/redisio"
)

// Topic are the flags of a topic, --NAME and --NAME_partitions.
type Topic struct {
	redisio.Topic

	flag string
}

// Register adds the flags to fs. name is that of the first; what tells of which
// topic, such as "to read".
func (t *Topic) Register(fs *flag.FlagSet, name, value, what string) {
	t.flag = name
	fs.StringVar(&t.Name, name, value, "`name` of the topic "+what)
	fs.IntVar(&t.Partitions, name+"_partitions", 4, "`number` of partitions of the "+name+" topic")
}

// Check wants a topic.
func (t *Topic) Check() error {
	return errors.Join(NotEmpty("--"+t.flag, t.Name, "the name of a topic"), t.CheckPartitions())
}

// CheckPartitions wants partitions, but no name.
func (t *Topic) CheckPartitions() error { return Positive("--"+t.flag+"_partitions", t.Partitions) }
